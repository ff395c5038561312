//! Placeholders, and what they stand for.

use crate::detect::Kind;
use std::{collections::HashMap, fmt};

/// What was replaced by placeholders such as `<EMAIL_1>`. The same text gets
/// the same placeholder. `Debug` hides the texts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redactions {
    counts: HashMap<Kind, usize>,
    placeholders: HashMap<(Kind, String), String>,
}

impl Redactions {
    /// The most different texts that are remembered. Beyond it every finding
    /// gets a placeholder of its own, which can then not be restored.
    pub const MAX: usize = 1000;

    /// The placeholder for `found`.
    pub(crate) fn placeholder(&mut self, kind: Kind, found: &str) -> String {
        if let Some(known) = self.placeholders.get(&(kind, found.to_owned())) {
            return known.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let placeholder = format!("<{}_{count}>", kind.label());
        if self.placeholders.len() < Self::MAX {
            self.placeholders
                .insert((kind, found.to_owned()), placeholder.clone());
        }
        placeholder
    }

    /// Whether nothing was replaced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Puts back what the placeholders in `text` stand for. Only for the eyes
    /// of the person who wrote it.
    #[must_use]
    pub fn restore(&self, text: &str) -> String {
        if self.placeholders.is_empty() || !text.contains('<') {
            return text.to_owned();
        }
        let originals: HashMap<&str, &str> = self
            .placeholders
            .iter()
            .map(|((_, found), placeholder)| (placeholder.as_str(), found.as_str()))
            .collect();
        let mut restored = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find('<') {
            restored.push_str(&rest[..start]);
            rest = &rest[start..];
            let original = rest
                .find('>')
                .and_then(|end| Some((end + 1, *originals.get(&rest[..=end])?)));
            match original {
                Some((length, original)) => {
                    restored.push_str(original);
                    rest = &rest[length..];
                }
                None => {
                    restored.push('<');
                    rest = &rest[1..];
                }
            }
        }
        restored.push_str(rest);
        restored
    }
}

impl fmt::Debug for Redactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactions")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_gets_the_same_placeholder_and_comes_back() {
        let mut redactions = Redactions::default();
        assert_eq!(redactions.placeholder(Kind::Email, "a@b.org"), "<EMAIL_1>");
        assert_eq!(redactions.placeholder(Kind::Email, "c@d.org"), "<EMAIL_2>");
        assert_eq!(redactions.placeholder(Kind::Email, "a@b.org"), "<EMAIL_1>");
        let text = "x <EMAIL_2>, <EMAIL_1> <EMAIL_9> << <b> <EMAIL_";
        assert_eq!(
            redactions.restore(text),
            "x c@d.org, a@b.org <EMAIL_9> << <b> <EMAIL_"
        );
    }

    #[test]
    fn it_remembers_a_bounded_number_and_still_replaces() {
        let mut redactions = Redactions::default();
        for number in 0..5000 {
            let placeholder = redactions.placeholder(Kind::Email, &format!("{number}@b.org"));
            assert_eq!(placeholder, format!("<EMAIL_{}>", number + 1));
        }
        assert_eq!(redactions.placeholders.len(), Redactions::MAX);
    }

    #[test]
    fn debug_hides_what_was_found() {
        let mut redactions = Redactions::default();
        redactions.placeholder(Kind::Email, "ada@example.org");
        assert!(!format!("{redactions:?}").contains("ada"));
    }
}
