//! Try again, a bounded number of times and under a budget.

mod backoff;
mod budget;
#[cfg(feature = "tokio")]
mod config;
#[cfg(feature = "tokio")]
mod policy;
#[cfg(feature = "tokio")]
mod session;

use std::time::Duration;

pub use backoff::{Backoff, Jitter};
pub use budget::{InFlight, RetryBudget, RetryBudgetBuilder, RetryGrant};
#[cfg(feature = "tokio")]
pub use config::RetryConfig;
#[cfg(feature = "tokio")]
pub use policy::{Retry, RetryBuilder};
#[cfg(feature = "tokio")]
pub use session::Attempt;

#[cfg(feature = "tokio")]
use crate::Error;

/// Whether to try again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// After a wait of the policy's own.
    Retry,
    /// After at least this wait, which the other side asked for.
    RetryAfter(Duration),
    /// Not at all: another attempt would fail the same way.
    Stop,
}

/// What to do about a failure of a guarded call: a timeout may be tried again,
/// a refusal only once the policy that refused says when, and `classify`
/// decides about the operation's own errors.
#[cfg(feature = "tokio")]
pub(crate) fn decide<E>(
    error: &Error<E>,
    classify: impl FnOnce(&E) -> RetryDecision,
) -> RetryDecision {
    match error {
        Error::Inner(error) => classify(error),
        Error::Timeout { .. } => RetryDecision::Retry,
        Error::Rejected(rejected) => rejected
            .retry_after()
            .map_or(RetryDecision::Stop, RetryDecision::RetryAfter),
    }
}
