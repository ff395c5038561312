//! Find out how many calls at once the other side can take.

mod algorithm;

use std::{
    fmt,
    future::Future,
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

pub use algorithm::Algorithm;
use algorithm::{Learned, Sample};

use crate::{
    ConfigError, Error, Name, Outcome, Rejected, RejectedKind, SharedClock,
    breaker::outcome_of,
    clock,
    error::check,
    observer::{Event, SharedObserver, Watch},
    random::Random,
};

/// A bound on the calls in flight that learns from their latency and their
/// failures. A handle to one shared state, cheap to clone.
///
/// A failure shrinks the limit once, however many calls of the same time fail:
/// only calls that began after the last fall can cause another. A cancelled
/// call teaches nothing, a panic counts as a failure.
///
/// ```
/// use mainstay_resilience::AdaptiveLimit;
///
/// # fn main() -> Result<(), mainstay_resilience::ConfigError> {
/// let limit = AdaptiveLimit::builder("inference").bounds(1, 200).initial(20).build()?;
/// let permit = limit.try_acquire().expect("nothing is in flight yet");
/// permit.success();
/// assert!(limit.limit() >= 20);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AdaptiveLimit {
    inner: Arc<Inner>,
}

struct Inner {
    name: Name,
    algorithm: Algorithm,
    least: u32,
    most: u32,
    /// The learned limit, rounded down and within its bounds.
    limit: AtomicU32,
    falls: AtomicU64,
    in_flight: AtomicU32,
    learned: Mutex<Learned>,
    clock: SharedClock,
    observer: Watch,
}

/// Describes an [`AdaptiveLimit`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build"]
pub struct AdaptiveLimitBuilder {
    name: Name,
    algorithm: Algorithm,
    initial: u32,
    least: u32,
    most: u32,
    seed: Option<u64>,
    clock: Option<SharedClock>,
    observer: Watch,
}

impl AdaptiveLimitBuilder {
    /// The rule to learn by. Default: [`Algorithm::gradient`].
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The limit to begin with. Default: 20.
    pub fn initial(mut self, limit: u32) -> Self {
        self.initial = limit;
        self
    }

    /// The least and the most that the limit can become. Default: 1 to 1,000.
    pub fn bounds(mut self, least: u32, most: u32) -> Self {
        self.least = least;
        self.most = most;
        self
    }

    /// Makes the times at which [`Algorithm::gradient`] measures the same in
    /// every run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Measures latency on `clock`.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Tells `observer` of refusals and of every change of the limit.
    pub fn observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// The limit.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn build(self) -> Result<AdaptiveLimit, ConfigError> {
        self.algorithm.validate()?;
        check::at_least_one("least", self.least.into())?;
        if self.least > self.most {
            return Err(ConfigError::new("least", "must be at most the most"));
        }
        if !(self.least..=self.most).contains(&self.initial) {
            return Err(ConfigError::new("initial", "must be within the bounds"));
        }
        let random = self.seed.map_or_else(Random::from_entropy, Random::seeded);
        Ok(AdaptiveLimit {
            inner: Arc::new(Inner {
                name: self.name,
                algorithm: self.algorithm,
                least: self.least,
                most: self.most,
                limit: AtomicU32::new(self.initial),
                falls: AtomicU64::new(0),
                in_flight: AtomicU32::new(0),
                learned: Mutex::new(Learned::new(self.initial, random)),
                clock: self.clock.unwrap_or_else(clock::default_clock),
                observer: self.observer,
            }),
        })
    }
}

impl AdaptiveLimit {
    /// Starts to describe a limit.
    pub fn builder(name: impl Into<Name>) -> AdaptiveLimitBuilder {
        AdaptiveLimitBuilder {
            name: name.into(),
            algorithm: Algorithm::gradient(),
            initial: 20,
            least: 1,
            most: 1000,
            seed: None,
            clock: None,
            observer: Watch::default(),
        }
    }

    /// The name that errors and events carry.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Calls that may be in flight now.
    pub fn limit(&self) -> u32 {
        self.inner.limit.load(Ordering::Relaxed)
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> u32 {
        self.inner.in_flight.load(Ordering::Relaxed)
    }

    /// Asks for leave to make one call.
    ///
    /// # Errors
    /// The refusal.
    pub fn try_acquire(&self) -> Result<AdaptivePermit, Rejected> {
        let ticket = Ticket::take(Arc::clone(&self.inner))?;
        Ok(AdaptivePermit { ticket })
    }

    /// Runs `future` if the limit allows it. `Err` counts as a failure.
    ///
    /// # Errors
    /// [`Error::Rejected`] without polling the future, or [`Error::Inner`].
    pub async fn run<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        self.run_with(Outcome::of, future).await
    }

    /// Runs `future` if the limit allows it; `classify` says what its result
    /// teaches: a failure shrinks the limit.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_with<T, E>(
        &self,
        classify: impl FnOnce(Result<&T, &E>) -> Outcome,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let ticket = Ticket::take(&*self.inner).map_err(Error::Rejected)?;
        let result = future.await;
        ticket.record(classify(result.as_ref()));
        result.map_err(Error::Inner)
    }

    /// The same for a future that other policies guard already; a timeout is a
    /// failure.
    ///
    /// # Errors
    /// As [`run`](Self::run), without nesting the errors.
    pub async fn around<T, E>(
        &self,
        future: impl Future<Output = Result<T, Error<E>>>,
    ) -> Result<T, Error<E>> {
        let ticket = Ticket::take(&*self.inner).map_err(Error::Rejected)?;
        let result = future.await;
        ticket.record(outcome_of(&result, Outcome::of));
        result
    }
}

impl Inner {
    fn learn(&self, sample: Sample) {
        let changed = {
            let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = learned.learn(&self.algorithm, sample);
            // NaN cannot come out of finite numbers; were it to, the least is safe.
            let bounded = |limit: f64| limit.max(self.least.into()).min(self.most.into());
            learned.limit = bounded(learned.limit);
            let limit = bounded(wanted);
            self.falls.store(learned.falls, Ordering::Relaxed);
            let limit = limit as u32;
            let before = self.limit.swap(limit, Ordering::Relaxed);
            (before != limit).then_some(limit)
        };
        if let Some(limit) = changed {
            self.observer.emit(&Event::LimitChanged {
                by: &self.name,
                limit,
            });
        }
    }
}

/// A call in flight.
struct Ticket<I: Deref<Target = Inner>> {
    inner: I,
    started: Duration,
    falls: u64,
    outcome: Option<Outcome>,
}

impl<I: Deref<Target = Inner>> Ticket<I> {
    fn take(inner: I) -> Result<Self, Rejected> {
        let limit = inner.limit.load(Ordering::Relaxed);
        let taken =
            inner
                .in_flight
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |in_flight| {
                    (in_flight < limit).then(|| in_flight + 1)
                });
        if taken.is_err() {
            let rejected = Rejected::new(&inner.name, RejectedKind::ConcurrencyLimit, None);
            return Err(inner.observer.rejected(rejected));
        }
        let (started, falls) = (inner.clock.now(), inner.falls.load(Ordering::Relaxed));
        Ok(Self {
            inner,
            started,
            falls,
            outcome: None,
        })
    }

    fn record(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl<I: Deref<Target = Inner>> Drop for Ticket<I> {
    fn drop(&mut self) {
        let inner = &*self.inner;
        let in_flight = inner.in_flight.fetch_sub(1, Ordering::Relaxed);
        let outcome = self.outcome.unwrap_or(if std::thread::panicking() {
            Outcome::Failure
        } else {
            Outcome::Ignore
        });
        if outcome != Outcome::Ignore {
            inner.learn(Sample {
                latency: inner.clock.now().saturating_sub(self.started),
                in_flight,
                failed: outcome == Outcome::Failure,
                falls: self.falls,
            });
        }
    }
}

/// Leave to make one call, see [`AdaptiveLimit::try_acquire`].
///
/// Dropping it without a word counts as a cancelled call, or as a failure while
/// the thread panics; the slot comes free either way.
#[must_use = "a permit that is dropped at once guards nothing"]
pub struct AdaptivePermit {
    ticket: Ticket<Arc<Inner>>,
}

impl AdaptivePermit {
    /// The call went well; its latency counts.
    pub fn success(self) {
        self.ticket.record(Outcome::Success);
    }

    /// The other side was overloaded: a timeout, a refusal.
    pub fn failure(self) {
        self.ticket.record(Outcome::Failure);
    }

    /// The call teaches nothing.
    pub fn ignore(self) {
        self.ticket.record(Outcome::Ignore);
    }
}

impl fmt::Debug for AdaptivePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdaptivePermit")
            .field(&self.ticket.inner.name)
            .finish()
    }
}

impl fmt::Debug for AdaptiveLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveLimit")
            .field("name", &self.name())
            .field("limit", &self.limit())
            .field("in_flight", &self.in_flight())
            .finish()
    }
}
