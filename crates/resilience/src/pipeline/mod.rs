//! All policies around a call, in the order that works.

mod builder;
mod call;
mod config;
mod verdict;

use std::{
    fmt,
    future::Future,
    sync::{Arc, OnceLock},
};

pub use builder::PipelineBuilder;
pub use config::{BulkheadConfig, PipelineConfig, RateLimitConfig};
pub use verdict::Verdict;

use crate::{
    Attempt, BreakerSnapshot, Bulkhead, BulkheadSnapshot, CircuitBreaker, Deadline, Error, Event,
    Name, RateLimiter, Retry, flat::Flat, observer::Watch, sync::Settings,
};

/// Policies around a call, nested in one order: deadline, retry, circuit
/// breaker, rate limit, bulkhead, attempt timeout. A handle to one shared
/// state, cheap to clone; build it once for each thing that is called.
///
/// ```
/// use std::{sync::LazyLock, time::Duration};
/// use mainstay_resilience::{Bulkhead, CircuitBreaker, ConfigError, Error, Pipeline, Retry};
///
/// fn postgres() -> Result<Pipeline, ConfigError> {
///     Pipeline::standard("postgres")
///         .deadline(Duration::from_secs(5))
///         .retry(Retry::builder().max_attempts(3).build()?)
///         .breaker(CircuitBreaker::builder("postgres").time_window(Duration::from_secs(10), 0.5, 20).build()?)
///         .bulkhead(Bulkhead::new("postgres", 20, 64, Duration::from_millis(500))?)
///         .attempt_timeout(Duration::from_secs(1))
///         .build()
/// }
///
/// # async fn query(id: u32) -> Result<u32, std::io::Error> { Ok(id) }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let pipeline = postgres().expect("the settings make sense");
/// let row: Result<u32, Error<std::io::Error>> = pipeline.run(|_attempt| query(7)).await;
/// assert_eq!(row.ok(), Some(7));
/// # }
/// ```
///
/// # Why this order
///
/// - The *deadline* is outermost: it bounds all attempts and all waits.
/// - *Retry* is outside the breaker, so that each attempt is counted and an
///   open breaker ends the attempts. A refusal is tried again only when the
///   time after which it may succeed fits the deadline.
/// - The *breaker* is outside the limits: a refusal of ours says nothing about
///   the other side, and an open breaker takes no permit.
/// - The *attempt timeout* is innermost, clipped to what remains of the
///   deadline, so that the breaker sees a hung call fail instead of vanish.
///   The wait for a permit does not count as the other side's slowness.
/// - A *fallback* goes around everything: [`run_or_else`](Self::run_or_else),
///   or a [`Chain`](crate::Chain).
#[derive(Clone)]
pub struct Pipeline {
    inner: Arc<Inner>,
}

struct Inner {
    name: Name,
    /// The deadline and the attempt timeout in nanoseconds, `u64::MAX` for
    /// none, and which of the policies are in use.
    settings: Settings<3>,
    retry: OnceLock<Retry>,
    breaker: OnceLock<CircuitBreaker>,
    rate_limit: OnceLock<RateLimiter>,
    bulkhead: OnceLock<Bulkhead>,
    observer: Watch,
}

const RETRY: u64 = 1;
const BREAKER: u64 = 2;
const RATE_LIMIT: u64 = 4;
const BULKHEAD: u64 = 8;

impl Pipeline {
    /// Starts to describe a pipeline in the standard order.
    pub fn standard(name: impl Into<Name>) -> PipelineBuilder {
        PipelineBuilder::new(name.into())
    }

    /// The name that errors and events carry.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Calls `operation` through all policies. `Ok` is a success; `Err` counts
    /// against the breaker and is tried again.
    ///
    /// # Errors
    /// The last error, flat.
    pub async fn run<T, E, Fut>(&self, operation: impl FnMut(Attempt) -> Fut) -> Result<T, Error<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        self.run_within(Deadline::never(), Verdict::of, operation)
            .await
    }

    /// The same, with `classify` to say what a result means: a [`Verdict`], or
    /// simply an [`Outcome`](crate::Outcome), of which a failure is tried again
    /// and the others are not.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_with<T, E, V, Fut>(
        &self,
        classify: impl Fn(Result<&T, &E>) -> V,
        operation: impl FnMut(Attempt) -> Fut,
    ) -> Result<T, Error<E>>
    where
        V: Into<Verdict>,
        Fut: Future<Output = Result<T, E>>,
    {
        self.run_within(Deadline::never(), classify, operation)
            .await
    }

    /// The same within the caller's `deadline` as well as the pipeline's own.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`RejectedKind::DeadlineExpired`](crate::RejectedKind::DeadlineExpired) when there was
    /// no time left to begin with.
    pub async fn run_within<T, E, V, Fut>(
        &self,
        deadline: Deadline,
        classify: impl Fn(Result<&T, &E>) -> V,
        mut operation: impl FnMut(Attempt) -> Fut,
    ) -> Result<T, Error<E>>
    where
        V: Into<Verdict>,
        Fut: Future<Output = Result<T, E>>,
    {
        self.around_within(deadline, classify, |attempt| Flat::new(operation(attempt)))
            .await
    }

    /// The same for an operation that answers with [`Error`] already, such as
    /// one that other policies guard.
    ///
    /// # Errors
    /// As [`run`](Self::run), without nesting the errors.
    pub async fn around<T, E, Fut>(
        &self,
        operation: impl FnMut(Attempt) -> Fut,
    ) -> Result<T, Error<E>>
    where
        Fut: Future<Output = Result<T, Error<E>>>,
    {
        self.around_within(Deadline::never(), Verdict::of, operation)
            .await
    }

    /// [`around`](Self::around) with a deadline and a classification.
    ///
    /// # Errors
    /// As [`run_within`](Self::run_within).
    pub async fn around_within<T, E, V, Fut>(
        &self,
        deadline: Deadline,
        classify: impl Fn(Result<&T, &E>) -> V,
        mut operation: impl FnMut(Attempt) -> Fut,
    ) -> Result<T, Error<E>>
    where
        V: Into<Verdict>,
        Fut: Future<Output = Result<T, Error<E>>>,
    {
        let inner = &*self.inner;
        let call = inner.begin(deadline).map_err(Error::Rejected)?;
        let Some(retry) = inner.retry(call) else {
            let attempt = Attempt::only(call.deadline);
            let (result, _) = inner.attempt(call, &classify, || operation(attempt)).await;
            return result;
        };
        let mut session = retry.session(call.deadline);
        loop {
            let attempt = session.attempt();
            let (result, decision) = inner.attempt(call, &classify, || operation(attempt)).await;
            let Some(delay) = session.next(decision) else {
                return result;
            };
            drop(result);
            tokio::time::sleep(delay).await;
        }
    }

    /// Calls `operation`, and `fallback` with the error if that fails in the
    /// end.
    ///
    /// # Errors
    /// The fallback's.
    pub async fn run_or_else<T, E, F, Fut, Back>(
        &self,
        operation: impl FnMut(Attempt) -> Fut,
        fallback: impl FnOnce(Error<E>) -> Back,
    ) -> Result<T, F>
    where
        Fut: Future<Output = Result<T, E>>,
        Back: Future<Output = Result<T, F>>,
    {
        let error = match self.run(operation).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let inner = &*self.inner;
        let answer = fallback(error).await;
        inner.observer.emit(&Event::Fallback {
            by: &inner.name,
            step: answer.is_ok().then_some("fallback"),
        });
        answer
    }

    /// The breaker, when there is one.
    pub fn breaker(&self) -> Option<&CircuitBreaker> {
        self.inner.part(BREAKER, &self.inner.breaker)
    }

    /// The bulkhead, when there is one.
    pub fn bulkhead(&self) -> Option<&Bulkhead> {
        self.inner.part(BULKHEAD, &self.inner.bulkhead)
    }

    /// The rate limit, when there is one.
    pub fn rate_limit(&self) -> Option<&RateLimiter> {
        self.inner.part(RATE_LIMIT, &self.inner.rate_limit)
    }

    /// The state of the policies, for a health page.
    pub fn snapshot(&self) -> PipelineSnapshot {
        PipelineSnapshot {
            name: self.inner.name.to_string(),
            breaker: self.breaker().map(CircuitBreaker::snapshot),
            bulkhead: self.bulkhead().map(Bulkhead::snapshot),
        }
    }
}

/// The state of a pipeline's policies.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PipelineSnapshot {
    /// The name of the pipeline.
    pub name: String,
    /// The breaker's state.
    pub breaker: Option<BreakerSnapshot>,
    /// The bulkhead's state.
    pub bulkhead: Option<BulkheadSnapshot>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("snapshot", &self.snapshot())
            .finish()
    }
}
