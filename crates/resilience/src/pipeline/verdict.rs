//! What a result means to the policies of a pipeline.

use std::time::Duration;

use crate::{Outcome, RetryDecision};

/// What a result means: to the breaker an [`Outcome`], to the retry policy a
/// [`RetryDecision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) retry: RetryDecision,
}

impl Verdict {
    /// The other side is well, and this is the answer.
    pub const fn success() -> Self {
        Self {
            outcome: Outcome::Success,
            retry: RetryDecision::Stop,
        }
    }

    /// The other side is not well; another attempt may help.
    pub const fn failure() -> Self {
        Self {
            outcome: Outcome::Failure,
            retry: RetryDecision::Retry,
        }
    }

    /// Says nothing about the other side, and would be the same next time: a
    /// mistake of the caller's.
    pub const fn ignore() -> Self {
        Self {
            outcome: Outcome::Ignore,
            retry: RetryDecision::Stop,
        }
    }

    /// Not to be tried again.
    #[must_use]
    pub const fn permanent(self) -> Self {
        self.with_retry(RetryDecision::Stop)
    }

    /// To be tried again after this wait, which the other side asked for.
    #[must_use]
    pub const fn retry_after(self, wait: Duration) -> Self {
        self.with_retry(RetryDecision::RetryAfter(wait))
    }

    /// With this decision about another attempt.
    #[must_use]
    pub const fn with_retry(self, retry: RetryDecision) -> Self {
        Self { retry, ..self }
    }

    /// `Ok` is a success, `Err` a failure.
    pub fn of<T, E>(result: Result<&T, &E>) -> Self {
        Outcome::of(result).into()
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::success(),
            Outcome::Failure => Self::failure(),
            Outcome::Ignore => Self::ignore(),
        }
    }
}
