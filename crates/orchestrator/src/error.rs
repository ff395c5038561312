//! What a use case can answer instead of an outcome.

use mainstay_domain::{Decision, Usd};
use mainstay_persistence::DbError;
use std::time::Duration;

/// Why a command was not carried out. `Display` is meant for the client;
/// the cause, where there is one, is for the log alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value that parses but is wrong, at a JSON pointer of the request.
    #[error("{pointer}: {message}")]
    Invalid {
        /// Where in the request, such as `/persona_id`.
        pointer: &'static str,
        /// What to do about it.
        message: String,
    },
    /// Credentials that do not open anything. Deliberately vague.
    #[error("the credentials are not valid")]
    Unauthenticated,
    /// The principal may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Governance refused; the decisions say why and by which rule.
    #[error("refused by governance: {}", reasons(.0))]
    Denied(Vec<Decision>),
    /// The request may cost more than it is allowed to.
    #[error("the request may cost up to ${needed}, but at most ${allowed} is allowed")]
    BudgetExceeded {
        /// What it may cost.
        needed: Usd,
        /// What it may spend.
        allowed: Usd,
    },
    /// No such thing, or somebody else's.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// The thing changed since the caller read it.
    #[error("it was changed by somebody else in the meantime; read it again and repeat the change")]
    StaleVersion,
    /// The server is still starting.
    #[error("the server is starting; try again shortly")]
    Starting,
    /// Something that is needed is away.
    #[error("{what} cannot be reached at the moment; try again shortly")]
    Unavailable {
        /// What is away, in a client's words.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// More is asked at once than can be done well.
    #[error("too much is asked at once; try again shortly")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The caller's time ran out.
    #[error("the deadline of the request passed before the work was done")]
    DeadlineExceeded,
    /// A defect. The cause is logged, never sent.
    #[error("an internal error occurred; the correlation id leads to it")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The stable code that clients rely on.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "VALIDATION_ERROR",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::Denied(_) => "GOVERNANCE_DENIED",
            Self::BudgetExceeded { .. } => "BUDGET_EXCEEDED",
            Self::NotFound(_) => "NOT_FOUND",
            Self::Conflict(_) => "CONFLICT",
            Self::StaleVersion => "PRECONDITION_FAILED",
            Self::Starting => "STARTING",
            Self::Unavailable { .. } => "DEPENDENCY_UNAVAILABLE",
            Self::Overloaded { .. } => "OVERLOADED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Internal(_) => "INTERNAL",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Starting
                | Self::Unavailable { .. }
                | Self::Overloaded { .. }
                | Self::DeadlineExceeded
        )
    }

    /// The same error for another who waited for the same work. A defect's
    /// cause stays with the first.
    #[must_use]
    pub(crate) fn retold(&self) -> Self {
        match self {
            Self::Invalid { pointer, message } => Self::Invalid {
                pointer,
                message: message.clone(),
            },
            Self::Unauthenticated => Self::Unauthenticated,
            Self::Forbidden(why) => Self::Forbidden(why),
            Self::Denied(decisions) => Self::Denied(decisions.clone()),
            Self::BudgetExceeded { needed, allowed } => Self::BudgetExceeded {
                needed: *needed,
                allowed: *allowed,
            },
            Self::NotFound(what) => Self::NotFound(what),
            Self::Conflict(what) => Self::Conflict(what.clone()),
            Self::StaleVersion => Self::StaleVersion,
            Self::Starting => Self::Starting,
            Self::Unavailable { what, retry_after } => Self::Unavailable {
                what,
                retry_after: *retry_after,
            },
            Self::Overloaded { retry_after } => Self::Overloaded {
                retry_after: *retry_after,
            },
            Self::DeadlineExceeded => Self::DeadlineExceeded,
            Self::Internal(cause) => Self::internal(cause.to_string()),
        }
    }

    /// A defect, from whatever caused it.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        match error {
            DbError::NotFound => Self::NotFound("object"),
            DbError::Conflict(what) => Self::Conflict(format!("this {what} is taken already")),
            DbError::StaleVersion => Self::StaleVersion,
            DbError::Refused(refused) => Self::Conflict(refused.to_string()),
            DbError::Starting { .. } => Self::Starting,
            DbError::Unavailable { retry_after } => Self::Unavailable {
                what: "the database",
                retry_after,
            },
            DbError::DeadlineExceeded => Self::DeadlineExceeded,
            corrupt_or_defect => Self::internal(corrupt_or_defect),
        }
    }
}

fn reasons(decisions: &[Decision]) -> String {
    let reasons: Vec<&str> = decisions
        .iter()
        .filter(|d| d.verdict == mainstay_domain::Verdict::Deny)
        .map(|d| d.reason.as_str())
        .collect();
    reasons.join(" ")
}
