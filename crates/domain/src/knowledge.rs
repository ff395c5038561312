//! The knowledge base: documents, cut into passages that can be found and cited.

use crate::{
    ids::{KnowledgeId, WorkspaceId},
    text::Name,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A document of a workspace's knowledge base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnowledgeDocument {
    /// Its id.
    pub id: KnowledgeId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Its title.
    pub title: Name,
    /// Where it came from, such as a path or a URL.
    pub source: Option<String>,
    /// The whole text.
    pub content: String,
    /// Counts its changes from 1.
    pub version: i32,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A passage that a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// The document that it stands in.
    pub document_id: KnowledgeId,
    /// The document's title.
    pub title: String,
    /// The text.
    pub text: String,
    /// How well it matches, higher is better; comparable within one search only.
    pub rank: f32,
}

/// The most characters of a passage.
pub const PASSAGE_MAX: usize = 1_200;

/// Cuts a text into passages along blank lines, joining small neighbours and
/// splitting long ones at a space, so that each is at most [`PASSAGE_MAX`]
/// characters and nothing but white space is lost.
#[must_use]
pub fn passages(content: &str) -> Vec<String> {
    let mut cut: Vec<String> = Vec::new();
    for paragraph in content
        .split("\n\n")
        .map(str::trim)
        .filter(|p| !p.is_empty())
    {
        for piece in pieces(paragraph) {
            match cut.last_mut() {
                Some(last) if last.chars().count() + piece.chars().count() + 2 <= PASSAGE_MAX => {
                    last.push_str("\n\n");
                    last.push_str(piece);
                }
                _ => cut.push(piece.to_owned()),
            }
        }
    }
    cut
}

/// Splits a paragraph that is too long at the last white space that fits.
fn pieces(mut rest: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while let Some((limit, _)) = rest.char_indices().nth(PASSAGE_MAX) {
        let at = rest[..limit]
            .rfind(char::is_whitespace)
            .filter(|at| *at > 0)
            .unwrap_or(limit);
        pieces.push(rest[..at].trim());
        rest = rest[at..].trim_start();
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_but_white_space_is_lost(text in "([a-zé]{1,9}[ \n]{1,2}){0,600}") {
            let passages = passages(&text);
            let words = |t: &str| t.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&passages.join(" ")), words(&text));
            prop_assert!(passages.iter().all(|p| p.chars().count() <= PASSAGE_MAX));
        }
    }

    #[test]
    fn a_word_longer_than_a_passage_is_cut() {
        assert_eq!(passages(&"x".repeat(PASSAGE_MAX * 2 + 1)).len(), 3);
    }
}
