//! Text from people, checked once: names, e-mail addresses and prompts.

use serde::{Deserialize, Serialize};
use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// Why a text was refused. The message tells the sender what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// More characters than allowed.
    #[error("must be at most {max} characters long")]
    TooLong {
        /// The most characters allowed.
        max: usize,
    },
    /// A NUL or another control character that no storage or log should carry.
    #[error("must not contain control characters")]
    Control,
    /// Not an e-mail address that could receive mail.
    #[error("must be an e-mail address such as ada@example.org")]
    NotEmail,
}

/// A short label: trimmed, NFC, 1 to 120 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// What is asked of a model: 1 to 100,000 characters, no NUL.
/// Line breaks and tabs are kept.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prompt(String);

/// An e-mail address: NFC, lower-cased, at most 254 characters.
/// `Debug` hides it, since it is personal data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Name {
    /// The most characters of a name.
    pub const MAX: usize = 120;

    /// Trims, normalises to NFC and checks.
    ///
    /// # Errors
    /// [`InvalidText`] when it is empty, too long or has control characters.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let name: String = text.trim().nfc().collect();
        if name.is_empty() {
            return Err(InvalidText::Empty);
        }
        if name.chars().count() > Self::MAX {
            return Err(InvalidText::TooLong { max: Self::MAX });
        }
        if name.chars().any(is_unprintable) {
            return Err(InvalidText::Control);
        }
        Ok(Self(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prompt {
    /// The most characters of a prompt.
    pub const MAX: usize = 100_000;

    /// Checks the length and refuses NUL, which Postgres cannot store.
    ///
    /// # Errors
    /// [`InvalidText`] when it is blank, too long or holds a NUL.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidText> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err(InvalidText::Empty);
        }
        // A character is at least one byte, so most texts need no count.
        if text.len() > Self::MAX && text.chars().count() > Self::MAX {
            return Err(InvalidText::TooLong { max: Self::MAX });
        }
        if text.contains('\0') {
            return Err(InvalidText::Control);
        }
        Ok(Self(text))
    }

    /// The prompt as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prompt({} bytes)", self.0.len())
    }
}

impl Email {
    /// The longest address that SMTP can deliver to (RFC 5321, errata 1690).
    pub const MAX: usize = 254;

    /// Trims, normalises to NFC, lower-cases and checks the shape.
    ///
    /// # Errors
    /// [`InvalidText`] when it cannot be an address.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let email: String = text.trim().nfc().collect::<String>().to_lowercase();
        if email.len() > Self::MAX {
            return Err(InvalidText::TooLong { max: Self::MAX });
        }
        let plausible = email.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty()
                && local.len() <= 64
                && !host.contains('@')
                && host.split('.').count() >= 2
                && host.split('.').all(is_host_label)
        });
        if !plausible
            || email
                .chars()
                .any(|c| c.is_whitespace() || is_unprintable(c))
        {
            return Err(InvalidText::NotEmail);
        }
        Ok(Self(email))
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email([redacted])")
    }
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

/// Control characters, and the invisible ones that reorder or hide text.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

macro_rules! string_conversions {
    ($($name:ident),+) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidText;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&*text)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    )+};
}
string_conversions!(Name, Prompt, Email);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn email_is_folded_so_that_one_person_has_one_address() {
        assert_eq!(
            Email::parse("  Ada@Example.ORG ").unwrap().as_str(),
            "ada@example.org"
        );
    }

    #[test]
    fn email_that_cannot_receive_mail_is_refused() {
        for bad in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@localhost",
            "a b@example.org",
            "a@b@c.org",
            "a@-x.org",
            "a@x..org",
        ] {
            assert_eq!(Email::parse(bad), Err(InvalidText::NotEmail), "{bad:?}");
        }
    }

    #[test]
    fn name_refuses_what_could_break_a_log_line() {
        assert_eq!(Name::parse("a\nb"), Err(InvalidText::Control));
        assert_eq!(Name::parse("a\u{202E}b"), Err(InvalidText::Control));
        assert_eq!(Name::parse(" \t "), Err(InvalidText::Empty));
        assert_eq!(
            Name::parse(&"x".repeat(121)),
            Err(InvalidText::TooLong { max: 120 })
        );
    }

    #[test]
    fn prompt_keeps_lines_and_refuses_nul() {
        assert_eq!(Prompt::parse("a\n\tb").unwrap().as_str(), "a\n\tb");
        assert_eq!(Prompt::parse("a\0b"), Err(InvalidText::Control));
    }

    #[test]
    fn personal_text_is_not_printed_by_debug() {
        assert!(!format!("{:?}", Email::parse("ada@example.org").unwrap()).contains("ada"));
        assert!(!format!("{:?}", Prompt::parse("secret plan").unwrap()).contains("secret"));
    }

    proptest! {
        #[test]
        fn parsing_what_was_parsed_changes_nothing(text in "\\PC{0,140}") {
            if let Ok(name) = Name::parse(&text) {
                prop_assert_eq!(Name::parse(name.as_str()).unwrap(), name);
            }
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(Email::parse(email.as_str()).unwrap(), email);
            }
        }
    }
}
