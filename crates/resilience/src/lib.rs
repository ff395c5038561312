#![cfg_attr(feature = "tokio", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "tokio"),
    doc = "Bound the damage of a call. The feature `tokio` brings what waits, and the guide."
)]

mod adaptive;
mod breaker;
mod bulkhead;
mod chain;
mod clock;
mod deadline;
#[cfg(feature = "serde")]
mod duration;
mod error;
mod flat;
#[cfg(feature = "tokio")]
mod hedge;
#[cfg(feature = "metrics")]
mod metrics_observer;
mod name;
mod observer;
#[cfg(feature = "tokio")]
mod pipeline;
mod random;
mod rate_limit;
#[cfg(feature = "tokio")]
mod registry;
mod retry;
mod shed;
mod sliding;
mod sync;
mod throttle;
#[cfg(feature = "tokio")]
mod timeout;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
mod tracing_observer;

pub use adaptive::{AdaptiveLimit, AdaptiveLimitBuilder, AdaptivePermit, Algorithm};
pub use breaker::{
    BreakerConfig, BreakerSnapshot, CircuitBreaker, CircuitBreakerBuilder, Outcome, Permit, State,
    Trip,
};
pub use bulkhead::{Bulkhead, BulkheadPermit, BulkheadSnapshot};
pub use chain::{
    Answer, Chain, Earlier, Found, NoAnswer, NoSteps, OrDefault, StepOutcome, Steps, Then,
};
#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use clock::{Clock, ManualClock, SharedClock, SystemClock, default_clock, system_clock};
pub use deadline::Deadline;
pub use error::{ConfigError, Error, Rejected, RejectedKind};
pub use flat::Flat;
#[cfg(feature = "tokio")]
pub use hedge::{Hedge, HedgeBuilder};
#[cfg(feature = "macros")]
pub use mainstay_resilience_macros::{resilient, timeout};
#[cfg(feature = "metrics")]
pub use metrics_observer::MetricsObserver;
pub use name::Name;
pub use observer::{Event, Observer, SharedObserver};
#[cfg(feature = "tokio")]
pub use pipeline::{
    BulkheadConfig, Pipeline, PipelineBuilder, PipelineConfig, PipelineSnapshot, RateLimitConfig,
    Verdict,
};
pub use rate_limit::{
    KeyedRateLimiter, KeyedRateLimiterBuilder, Quota, RateLimitState, RateLimiter,
};
#[cfg(feature = "tokio")]
pub use registry::{Registry, RegistryConfig, RegistrySnapshot, ReloadError};
#[cfg(feature = "tokio")]
pub use retry::{Attempt, Retry, RetryBuilder, RetryConfig};
pub use retry::{
    Backoff, InFlight, Jitter, RetryBudget, RetryBudgetBuilder, RetryDecision, RetryGrant,
};
pub use shed::{Priority, ShedPermit, Shedder, ShedderBuilder};
pub use throttle::{Throttle, ThrottleBuilder, ThrottlePermit};
#[cfg(feature = "tokio")]
pub use timeout::{Timeout, timeout};
#[cfg(feature = "tracing")]
pub use tracing_observer::TracingObserver;

#[cfg(all(feature = "tokio", any(doc, doctest)))]
#[doc = include_str!("../docs/composition.md")]
pub mod guide {}

#[cfg(feature = "macros")]
#[doc(hidden)]
#[path = "macro_support.rs"]
pub mod __macros;
