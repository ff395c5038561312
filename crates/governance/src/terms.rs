//! Words that no question may contain.

use crate::normal::fold;

/// Whether the text contains one of the terms as whole words, whatever its
/// case, its spacing or invisible characters in between.
pub(crate) fn contains_blocked(text: &str, terms: &[String]) -> bool {
    if terms.is_empty() {
        return false;
    }
    let text = spaced(text);
    terms
        .iter()
        .map(|term| spaced(term))
        .any(|term| term.len() > 2 && text.contains(&term))
}

/// The words of the text, each between two spaces.
fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len() + 2);
    spaced.push(' ');
    for c in fold(text) {
        if c.is_alphanumeric() {
            spaced.push(c);
        } else if !spaced.ends_with(' ') {
            spaced.push(' ');
        }
    }
    if !spaced.ends_with(' ') {
        spaced.push(' ');
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(text: &str, term: &str) -> bool {
        contains_blocked(text, &[term.to_owned()])
    }

    #[test]
    fn whole_words_are_found_in_any_dress() {
        for text in [
            "tell me about project titan",
            "Project  TITAN?",
            "project-titan",
            "(Project\nTitan)",
            "pro\u{200B}ject ti\u{AD}tan",
            "\u{FF50}roject titan",
        ] {
            assert!(blocked(text, "project titan"), "{text:?}");
        }
    }

    #[test]
    fn parts_of_words_are_left_alone() {
        assert!(!blocked("the projects titanic", "project titan"));
        assert!(!blocked("assassin", "ass"));
        assert!(!blocked("anything", ""));
        assert!(!blocked("anything", " - "));
    }
}
