//! One flat error for every policy, and the refusals it may carry.

use std::{fmt, time::Duration};

use crate::name::Name;

/// Why a guarded call gave no value.
///
/// It stays flat however many policies stand around a call: the caller's own
/// error is always one step away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// The operation ran and answered with its own error.
    Inner(E),
    /// The operation was given up: its future was dropped. What it started
    /// elsewhere, such as a query on a server, may go on.
    Timeout {
        /// The policy that gave up.
        by: Name,
        /// The time that it was given.
        after: Duration,
    },
    /// The operation was not run.
    Rejected(Rejected),
}

impl<E> Error<E> {
    /// Whether the time ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether the operation was refused without being run.
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }

    /// How long to wait before trying again, where a policy knows it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.rejected().and_then(Rejected::retry_after)
    }

    /// The operation's own error.
    pub fn inner(&self) -> Option<&E> {
        match self {
            Self::Inner(error) => Some(error),
            _ => None,
        }
    }

    /// The operation's own error, by value.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            _ => None,
        }
    }

    /// The refusal, when there was one.
    pub fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            _ => None,
        }
    }

    /// Changes the operation's own error.
    pub fn map_inner<F>(self, change: impl FnOnce(E) -> F) -> Error<F> {
        match self {
            Self::Inner(error) => Error::Inner(change(error)),
            Self::Timeout { by, after } => Error::Timeout { by, after },
            Self::Rejected(rejected) => Error::Rejected(rejected),
        }
    }
}

impl<E> Error<Error<E>> {
    /// Makes one error of two nested ones.
    pub fn flatten(self) -> Error<E> {
        match self {
            Self::Inner(error) => error,
            Self::Timeout { by, after } => Error::Timeout { by, after },
            Self::Rejected(rejected) => Error::Rejected(rejected),
        }
    }
}

impl<E> From<E> for Error<E> {
    fn from(error: E) -> Self {
        Self::Inner(error)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::Timeout { by, after } => write!(f, "{by}: no answer within {after:?}"),
            Self::Rejected(rejected) => rejected.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The text of the inner error is already ours, so that its own
            // source is the next in the chain.
            Self::Inner(error) => error.source(),
            Self::Timeout { .. } => None,
            Self::Rejected(rejected) => rejected.source(),
        }
    }
}

/// A call that a policy refused to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    by: Name,
    kind: RejectedKind,
    retry_after: Option<Duration>,
}

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectedKind {
    /// A circuit breaker is open.
    CircuitOpen,
    /// A circuit breaker is half-open and all its probes are under way.
    ProbesBusy,
    /// A circuit breaker has just closed and admits a growing share of calls.
    RampingUp,
    /// A circuit breaker was forced open by an operator.
    ForcedOpen,
    /// A bulkhead has neither a free permit nor room in its queue.
    QueueFull,
    /// A bulkhead's permit did not come free in time.
    QueueTimeout,
    /// A rate limit is used up.
    RateLimited,
    /// An adaptive limit has too many calls in flight.
    ConcurrencyLimit,
    /// A shedder turned away a call of low priority.
    Shed,
    /// A throttle expects the other side to refuse.
    Throttled,
    /// The deadline had passed before the call began.
    DeadlineExpired,
}

impl RejectedKind {
    /// A stable lower-case word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::ProbesBusy => "probes_busy",
            Self::RampingUp => "ramping_up",
            Self::ForcedOpen => "forced_open",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::RateLimited => "rate_limited",
            Self::ConcurrencyLimit => "concurrency_limit",
            Self::Shed => "shed",
            Self::Throttled => "throttled",
            Self::DeadlineExpired => "deadline_expired",
        }
    }

    fn explanation(self) -> &'static str {
        match self {
            Self::CircuitOpen => "the circuit is open",
            Self::ProbesBusy => "the circuit is half-open and its probes are under way",
            Self::RampingUp => "the circuit has just closed and admits calls gradually",
            Self::ForcedOpen => "the circuit is forced open",
            Self::QueueFull => "no permit is free and the queue is full",
            Self::QueueTimeout => "no permit came free in time",
            Self::RateLimited => "the rate limit is used up",
            Self::ConcurrencyLimit => "too many calls are in flight",
            Self::Shed => "calls of this priority are being shed",
            Self::Throttled => "the other side is refusing too many calls",
            Self::DeadlineExpired => "the deadline has passed",
        }
    }
}

impl Rejected {
    /// A refusal by the policy called `by`. Policies of your own may refuse
    /// with it too.
    pub fn new(by: impl Into<Name>, kind: RejectedKind, retry_after: Option<Duration>) -> Self {
        Self {
            by: by.into(),
            kind,
            retry_after,
        }
    }

    /// The name of the policy that refused.
    pub fn by(&self) -> &str {
        &self.by
    }

    /// Why it refused.
    pub fn kind(&self) -> RejectedKind {
        self.kind
    }

    /// After which time a call may be admitted, where the policy knows it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.by, self.kind.explanation())?;
        match self.retry_after {
            Some(after) => write!(f, "; retry after {after:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejected {}

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ConfigError {
    field: &'static str,
    reason: &'static str,
}

impl ConfigError {
    /// The setting called `field` is wrong, and why.
    pub fn new(field: &'static str, reason: &'static str) -> Self {
        Self { field, reason }
    }

    /// The name of the setting.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What is wrong with it.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

/// Checks that every constructor makes, named after what they refuse.
pub(crate) mod check {
    use super::ConfigError;
    use std::time::Duration;

    pub(crate) fn at_least_one(field: &'static str, value: u64) -> Result<(), ConfigError> {
        if value == 0 {
            return Err(ConfigError::new(field, "must be at least 1"));
        }
        Ok(())
    }

    pub(crate) fn positive(field: &'static str, value: Duration) -> Result<(), ConfigError> {
        if value.is_zero() {
            return Err(ConfigError::new(field, "must be longer than zero"));
        }
        Ok(())
    }

    /// A share above 0 and at most 1.
    pub(crate) fn rate(field: &'static str, value: f64) -> Result<(), ConfigError> {
        // Written so that NaN fails it.
        if value > 0.0 && value <= 1.0 {
            return Ok(());
        }
        Err(ConfigError::new(field, "must be above 0 and at most 1"))
    }

    pub(crate) fn finite_at_least(
        field: &'static str,
        value: f64,
        least: f64,
        reason: &'static str,
    ) -> Result<(), ConfigError> {
        if value.is_finite() && value >= least {
            return Ok(());
        }
        Err(ConfigError::new(field, reason))
    }
}
