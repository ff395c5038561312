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
        let mut restorer = Restorer::new(self);
        let mut restored = restorer.push(text);
        restored.push_str(&restorer.finish());
        restored
    }
}

/// Puts back what placeholders stand for in a text that comes in pieces. It
/// holds back only what may become a placeholder, and whatever the pieces, the
/// same text comes out.
#[derive(Clone)]
pub struct Restorer {
    originals: HashMap<String, String>,
    /// From a `<` on.
    held: String,
}

impl Restorer {
    /// The longest placeholder, in bytes.
    const LONGEST: usize = 32;

    /// Restores what `redactions` replaced.
    #[must_use]
    pub fn new(redactions: &Redactions) -> Self {
        Self {
            originals: redactions
                .placeholders
                .iter()
                .map(|((_, found), placeholder)| (placeholder.clone(), found.clone()))
                .collect(),
            held: String::new(),
        }
    }

    /// Takes the next piece and gives what may be shown by now.
    pub fn push(&mut self, piece: &str) -> String {
        if self.originals.is_empty() {
            return piece.to_owned();
        }
        let mut shown = String::with_capacity(piece.len());
        for c in piece.chars() {
            match c {
                '<' => {
                    shown.push_str(&self.held);
                    self.held.clear();
                    self.held.push(c);
                }
                _ if self.held.is_empty() => shown.push(c),
                '>' => {
                    self.held.push(c);
                    let held = std::mem::take(&mut self.held);
                    shown.push_str(self.originals.get(&held).unwrap_or(&held));
                }
                'A'..='Z' | '0'..='9' | '_' if self.held.len() < Self::LONGEST => {
                    self.held.push(c);
                }
                _ => {
                    shown.push_str(&self.held);
                    self.held.clear();
                    shown.push(c);
                }
            }
        }
        shown
    }

    /// Gives what was held back, after the last piece.
    #[must_use]
    pub fn finish(self) -> String {
        self.held
    }
}

impl fmt::Debug for Restorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restorer")
            .field("placeholders", &self.originals.len())
            .finish_non_exhaustive()
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
    fn any_split_restores_the_same() {
        let mut redactions = Redactions::default();
        redactions.placeholder(Kind::Email, "ada@example.org");
        let text = "Dear <EMAIL_1>, <EMAIL_2> <EMAIL <<EMAIL_1>> <b> <EMAIL_1";
        let whole = redactions.restore(text);
        assert_eq!(
            whole,
            "Dear ada@example.org, <EMAIL_2> <EMAIL <ada@example.org> <b> <EMAIL_1"
        );
        for one in 0..=text.len() {
            for other in one..=text.len() {
                let mut restorer = Restorer::new(&redactions);
                let mut shown = restorer.push(&text[..one]);
                shown.push_str(&restorer.push(&text[one..other]));
                shown.push_str(&restorer.push(&text[other..]));
                shown.push_str(&restorer.finish());
                assert_eq!(shown, whole, "{one} {other}");
            }
        }
    }

    #[test]
    fn debug_hides_what_was_found() {
        let mut redactions = Redactions::default();
        redactions.placeholder(Kind::Email, "ada@example.org");
        let restorer = Restorer::new(&redactions);
        assert!(!format!("{redactions:?} {restorer:?}").contains("ada"));
    }
}
