//! What may be a password.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// Why a text cannot be a password. The message tells its sender what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Too short.
    #[error("must be at least 8 characters long")]
    TooShort,
    /// Too long.
    #[error("must be at most 256 characters long")]
    TooLong,
}

/// A password of 8 to 256 characters in NFKC, so that it is the same on every
/// keyboard. There are no rules of composition. It cannot be printed.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// The fewest characters.
    pub const MIN: usize = 8;
    /// The most characters.
    pub const MAX: usize = 256;

    /// Normalises and checks.
    ///
    /// # Errors
    /// [`InvalidPassword`] when it is too short or too long.
    pub fn parse(text: &str) -> Result<Self, InvalidPassword> {
        // Counted before normalising too: one character can expand to
        // eighteen, and a megabyte must not be normalised to be refused.
        if text.chars().nth(Self::MAX).is_some() {
            return Err(InvalidPassword::TooLong);
        }
        let normal: String = text.nfkc().collect();
        let secret = SecretString::from(normal);
        match secret.expose_secret().chars().count() {
            0..Self::MIN => Err(InvalidPassword::TooShort),
            Self::MIN..=Self::MAX => Ok(Self(secret)),
            _ => Err(InvalidPassword::TooLong),
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.0.expose_secret()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.text().as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_in_characters() {
        assert_eq!(
            Password::parse("1234567").unwrap_err(),
            InvalidPassword::TooShort
        );
        assert!(Password::parse("pässwörd").is_ok());
        assert!(Password::parse(&"ä".repeat(256)).is_ok());
        assert_eq!(
            Password::parse(&"ä".repeat(257)).unwrap_err(),
            InvalidPassword::TooLong
        );
        assert_eq!(
            Password::parse(&"a".repeat(1 << 20)).unwrap_err(),
            InvalidPassword::TooLong
        );
        // One of these becomes 18 characters in NFKC.
        assert_eq!(
            Password::parse(&"\u{FDFA}".repeat(200)).unwrap_err(),
            InvalidPassword::TooLong
        );
    }

    #[test]
    fn it_is_not_printed() {
        let password = Password::parse("correct horse").unwrap();
        assert_eq!(format!("{password:?}"), "Password([redacted])");
    }
}
