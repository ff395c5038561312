//! All policies around a call, in the order that works.

mod config;
mod verdict;

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    time::Duration,
};

pub use config::{BulkheadConfig, PipelineConfig, RateLimitConfig};
pub use verdict::Verdict;

use crate::{
    Attempt, BreakerSnapshot, Bulkhead, BulkheadSnapshot, CircuitBreaker, ConfigError, Deadline,
    Error, Event, Name, RateLimiter, Rejected, RejectedKind, Retry, RetryDecision, SharedObserver,
    TokioClock,
    flat::Flat,
    observer::Watch,
    retry::decide as retry_guarded,
    sync::{Settings, nanos},
    timeout::limit,
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

/// Describes a [`Pipeline`]. The order of the calls does not matter.
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build"]
pub struct PipelineBuilder {
    name: Name,
    deadline: Option<Duration>,
    retry: Option<Retry>,
    breaker: Option<CircuitBreaker>,
    rate_limit: Option<RateLimiter>,
    bulkhead: Option<Bulkhead>,
    attempt_timeout: Option<Duration>,
    observer: Watch,
}

impl PipelineBuilder {
    /// Bounds the whole call. Default: none.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Tries again. Default: one attempt.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Puts a breaker around each attempt. Default: none.
    pub fn breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Limits the rate of attempts. Default: none.
    pub fn rate_limit(mut self, limiter: RateLimiter) -> Self {
        self.rate_limit = Some(limiter);
        self
    }

    /// Limits the attempts in flight. Default: none.
    pub fn bulkhead(mut self, bulkhead: Bulkhead) -> Self {
        self.bulkhead = Some(bulkhead);
        self
    }

    /// Bounds each attempt, after it got its permit. Default: what remains of
    /// the deadline.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Tells `observer` of timeouts, fallbacks and expired deadlines. The
    /// policies within have observers of their own.
    pub fn observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    /// When a duration is zero, or the attempt timeout exceeds the deadline.
    pub fn build(self) -> Result<Pipeline, ConfigError> {
        config::validate_times(self.deadline, self.attempt_timeout)?;
        let parts = [
            (self.retry.is_some(), RETRY),
            (self.breaker.is_some(), BREAKER),
            (self.rate_limit.is_some(), RATE_LIMIT),
            (self.bulkhead.is_some(), BULKHEAD),
        ];
        let parts = parts
            .iter()
            .filter(|(used, _)| *used)
            .map(|(_, bit)| bit)
            .sum();
        Ok(Pipeline {
            inner: Arc::new(Inner {
                name: self.name,
                settings: Settings::new([
                    self.deadline.map_or(u64::MAX, nanos),
                    self.attempt_timeout.map_or(u64::MAX, nanos),
                    parts,
                ]),
                retry: once(self.retry),
                breaker: once(self.breaker),
                rate_limit: once(self.rate_limit),
                bulkhead: once(self.bulkhead),
                observer: self.observer,
            }),
        })
    }
}

fn once<T>(value: Option<T>) -> OnceLock<T> {
    value.map_or_else(OnceLock::new, OnceLock::from)
}

impl Pipeline {
    /// Starts to describe a pipeline in the standard order.
    pub fn standard(name: impl Into<Name>) -> PipelineBuilder {
        PipelineBuilder {
            name: name.into(),
            deadline: None,
            retry: None,
            breaker: None,
            rate_limit: None,
            bulkhead: None,
            attempt_timeout: None,
            observer: Watch::default(),
        }
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
    /// As [`run`](Self::run); [`RejectedKind::DeadlineExpired`] when there was
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

/// One call on its way through a pipeline: the settings as of its beginning.
#[derive(Clone, Copy)]
struct Call {
    deadline: Deadline,
    attempt_timeout: Duration,
    parts: u64,
}

impl Inner {
    fn begin(&self, deadline: Deadline) -> Result<Call, Rejected> {
        let [own, attempt_timeout, parts] = self.settings.load();
        let mut deadline = deadline;
        if own != u64::MAX {
            let own = Deadline::after(&TokioClock, Duration::from_nanos(own));
            deadline = deadline.earliest(own);
        }
        if !deadline.is_never() && deadline.is_expired(&TokioClock) {
            let rejected = Rejected::new(&self.name, RejectedKind::DeadlineExpired, None);
            return Err(self.observer.rejected(rejected));
        }
        Ok(Call {
            deadline,
            attempt_timeout: match attempt_timeout {
                u64::MAX => Duration::MAX,
                nanoseconds => Duration::from_nanos(nanoseconds),
            },
            parts,
        })
    }

    fn retry(&self, call: Call) -> Option<&Retry> {
        self.retry.get().filter(|_| call.parts & RETRY != 0)
    }

    /// A policy, when it is in use.
    fn part<'a, T>(&self, bit: u64, part: &'a OnceLock<T>) -> Option<&'a T> {
        let [_, _, parts] = self.settings.load();
        part.get().filter(|_| parts & bit != 0)
    }

    /// Makes one attempt, and says whether another would make sense. Nothing of
    /// the operation runs before it is admitted, not even its closure.
    async fn attempt<T, E, V: Into<Verdict>, Fut>(
        &self,
        call: Call,
        classify: &impl Fn(Result<&T, &E>) -> V,
        operation: impl FnOnce() -> Fut,
    ) -> (Result<T, Error<E>>, RetryDecision)
    where
        Fut: Future<Output = Result<T, Error<E>>>,
    {
        let in_use = |bit| call.parts & bit != 0;
        let ticket = match self.breaker.get().filter(|_| in_use(BREAKER)) {
            Some(breaker) => match breaker.ticket() {
                Ok(ticket) => Some(ticket),
                Err(rejected) => return refused(rejected),
            },
            None => None,
        };
        // A refusal from here on drops the ticket: it says nothing about the
        // other side.
        if let Some(limiter) = self.rate_limit.get().filter(|_| in_use(RATE_LIMIT))
            && let Err(rejected) = limiter.check()
        {
            return refused(rejected);
        }
        let slot = match self.bulkhead.get().filter(|_| in_use(BULKHEAD)) {
            Some(bulkhead) => match bulkhead.slot(call.deadline).await {
                Ok(slot) => Some(slot),
                Err(rejected) => return refused(rejected),
            },
            None => None,
        };
        let result = self.limited(call, pin!(operation())).await;
        drop(slot);
        let verdict = judge(&result, classify);
        if let Some(ticket) = ticket {
            ticket.record(verdict.outcome);
        }
        (result, verdict.retry)
    }

    /// Runs an attempt within its own time and the deadline's.
    async fn limited<T, E>(
        &self,
        call: Call,
        future: Pin<&mut impl Future<Output = Result<T, Error<E>>>>,
    ) -> Result<T, Error<E>> {
        let mut after = call.attempt_timeout;
        if !call.deadline.is_never() {
            after = after.min(call.deadline.remaining(&TokioClock));
        }
        if after == Duration::MAX {
            return future.await;
        }
        match limit(after, future).await {
            Some(result) => result,
            None => {
                self.observer.emit(&Event::Timeout {
                    by: &self.name,
                    after,
                });
                Err(Error::Timeout {
                    by: self.name.clone(),
                    after,
                })
            }
        }
    }
}

fn refused<T, E>(rejected: Rejected) -> (Result<T, Error<E>>, RetryDecision) {
    let error = Error::Rejected(rejected);
    let decision = retry_guarded(&error, |_| RetryDecision::Stop);
    (Err(error), decision)
}

/// What the result of an attempt means to breaker and retry.
fn judge<T, E, V: Into<Verdict>>(
    result: &Result<T, Error<E>>,
    classify: impl Fn(Result<&T, &E>) -> V,
) -> Verdict {
    match result {
        Ok(value) => classify(Ok(value)).into(),
        Err(Error::Inner(error)) => classify(Err(error)).into(),
        Err(Error::Timeout { .. }) => Verdict::failure(),
        Err(error) => Verdict::ignore().with_retry(retry_guarded(error, |_| RetryDecision::Stop)),
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("snapshot", &self.snapshot())
            .finish()
    }
}
