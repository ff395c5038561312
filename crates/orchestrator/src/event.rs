//! What happens while an answer is made, as viewers are told.

use mainstay_domain::{Answer, Decision, Tokens, Usd};
use serde::Serialize;
use uuid::Uuid;

/// One step of an answer. Every transport is a projection of these.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerEvent {
    /// The work has begun.
    Start {
        /// The message's or the execution's id.
        message_id: Uuid,
        /// The run, by which it can be watched again and cancelled.
        run_id: Uuid,
    },
    /// The next piece of text.
    Delta(String),
    /// What governance decided.
    Decision(Decision),
    /// What the provider counted.
    Usage {
        /// Tokens.
        tokens: Tokens,
        /// What they cost; `None` when the price is unknown.
        cost_usd: Option<Usd>,
    },
    /// What was shown so far is withdrawn.
    Reset,
    /// The whole answer; the last event.
    Done(Box<Answer>),
    /// The answer could not be finished; the last event.
    Failed(Failure),
}

impl AnswerEvent {
    /// What an answer used.
    pub(crate) const fn usage(tokens: Tokens, cost_usd: Option<Usd>) -> Self {
        Self::Usage { tokens, cost_usd }
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }
}

/// Why an answer could not be finished, in the words of the error contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The stable code.
    pub code: &'static str,
    /// One sentence for a person.
    pub detail: String,
    /// Whether asking again may help.
    pub retryable: bool,
}

impl Failure {
    /// The answer is there but could not be stored yet.
    pub(crate) fn not_stored() -> Self {
        Self {
            code: "DEPENDENCY_UNAVAILABLE",
            detail: "the answer could not be stored yet; it will be once the database is back"
                .to_owned(),
            retryable: true,
        }
    }

    /// The answer had ended with an error, which was told to who watched then.
    pub(crate) fn ended() -> Self {
        Self {
            code: "INTERNAL",
            detail: "the answer ended with an error before it was whole; ask again".to_owned(),
            retryable: true,
        }
    }

    /// The answer was stopped before it was whole.
    pub(crate) fn interrupted() -> Self {
        Self {
            code: "DEPENDENCY_UNAVAILABLE",
            detail: "the answer was interrupted, since the server is going away; ask again"
                .to_owned(),
            retryable: true,
        }
    }
}

impl From<&crate::Error> for Failure {
    fn from(error: &crate::Error) -> Self {
        Self {
            code: error.code(),
            detail: error.to_string(),
            retryable: error.is_retryable(),
        }
    }
}

impl mainstay_realtime::RunEvent for AnswerEvent {
    fn size(&self) -> usize {
        std::mem::size_of::<Self>()
            + match self {
                Self::Delta(text) => text.len(),
                Self::Decision(decision) => decision.reason.len() + decision.rule_id.len(),
                Self::Done(answer) => answer.answer.len() + 256,
                Self::Failed(failure) => failure.detail.len(),
                Self::Start { .. } | Self::Usage { .. } | Self::Reset => 0,
            }
    }
}
