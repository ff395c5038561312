//! Bound the damage of a call: deadlines, retries, circuit breakers, bulkheads, limits and fallbacks.

mod breaker;
mod bulkhead;
mod chain;
mod clock;
mod deadline;
mod error;
mod name;
mod observer;
mod random;
mod rate_limit;
mod retry;
mod sync;
#[cfg(feature = "tokio")]
mod timeout;

pub use breaker::{
    BreakerConfig, BreakerSnapshot, CircuitBreaker, CircuitBreakerBuilder, Outcome, Permit, State,
    Trip,
};
pub use bulkhead::{Bulkhead, BulkheadPermit, BulkheadSnapshot};
pub use chain::{Answer, Chain, Earlier, Found, NoAnswer, StepOutcome};
#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use clock::{Clock, ManualClock, SharedClock, SystemClock, default_clock, system_clock};
pub use deadline::Deadline;
pub use error::{ConfigError, Error, Rejected, RejectedKind};
pub use name::Name;
pub use observer::{Event, Observer, SharedObserver};
pub use rate_limit::{
    KeyedRateLimiter, KeyedRateLimiterBuilder, Quota, RateLimitState, RateLimiter,
};
#[cfg(feature = "tokio")]
pub use retry::{Attempt, Retry, RetryBuilder, RetryConfig};
pub use retry::{
    Backoff, InFlight, Jitter, RetryBudget, RetryBudgetBuilder, RetryDecision, RetryGrant,
};
#[cfg(feature = "tokio")]
pub use timeout::{Timeout, timeout};
