//! The vocabulary of governance: levels, hooks, verdicts and decisions.

use crate::ids::DecisionId;
use serde::{Deserialize, Serialize};

/// How strictly a workspace is governed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GovernanceLevel {
    /// Every finding blocks or redacts; an error in a guard denies.
    Strict,
    /// High risk blocks, personal data is redacted, the rest is noted.
    #[default]
    Moderate,
    /// Findings are noted; budgets and authorization hold all the same.
    Permissive,
}

impl GovernanceLevel {
    /// The stable name, as stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Moderate => "moderate",
            Self::Permissive => "permissive",
        }
    }
}

/// Where in the path of a model call a guard stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// Before the model is called, on what is sent.
    Before,
    /// While the answer streams, on what is about to be shown.
    Chunk,
    /// After the model answered, on the whole answer.
    After,
}

/// What a guard decided, from mildest to severest: decisions combine by the severest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing found.
    Allow,
    /// Found and noted; nothing changed.
    Warn,
    /// Found and replaced by a placeholder.
    Redact,
    /// Refused.
    Deny,
}

/// One decision, with the reason that a person is shown and the rule that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Its id, under which it stands in the decision log.
    pub id: DecisionId,
    /// Where it was made.
    pub hook: Hook,
    /// What was decided.
    pub verdict: Verdict,
    /// The rule's stable id, such as `personal_data.email`.
    pub rule_id: String,
    /// One sentence for a person. It never repeats what was found.
    pub reason: String,
}
