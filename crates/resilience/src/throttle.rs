//! Spare a side that refuses most calls the work of refusing.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use crate::{
    ConfigError, Error, Name, Outcome, Rejected, RejectedKind, SharedClock,
    breaker::outcome_of,
    clock,
    error::check,
    observer::{SharedObserver, Watch},
    random::Random,
    sliding::SlidingWindow,
};

/// Client-side throttling: refuses calls locally with a probability that grows
/// with the share of calls that the other side refused.
///
/// The probability is `max(0, (requests - K * accepts) / (requests + 1))` over
/// two minutes, with `K = 2` ("Handling Overload" in *Site Reliability
/// Engineering*, 2016). Requests are counted before the call, those refused
/// here included. A cancelled call counts as accepted, a panic as not.
///
/// ```
/// use mainstay_resilience::Throttle;
///
/// # fn main() -> Result<(), mainstay_resilience::ConfigError> {
/// let throttle = Throttle::builder("search").build()?;
/// if let Ok(permit) = throttle.try_acquire() {
///     permit.accepted();
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Throttle {
    inner: Arc<Inner>,
}

struct Inner {
    name: Name,
    multiplier: f64,
    width: u64,
    /// Requests and accepts.
    window: SlidingWindow,
    random: Random,
    clock: SharedClock,
    observer: Watch,
}

/// Describes a [`Throttle`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build"]
pub struct ThrottleBuilder {
    name: Name,
    multiplier: f64,
    window: Duration,
    seed: Option<u64>,
    clock: Option<SharedClock>,
    observer: Watch,
}

impl ThrottleBuilder {
    /// How many requests for each accepted one are sent on, at least 1. Smaller
    /// is stricter. Default: 2.
    pub fn multiplier(mut self, multiplier: f64) -> Self {
        self.multiplier = multiplier;
        self
    }

    /// How long a call is remembered. Default: two minutes.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Makes the decisions the same in every run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Reads the time from `clock`.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Tells `observer` of refusals.
    pub fn observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// The throttle.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn build(self) -> Result<Throttle, ConfigError> {
        let least = "must be a number of at least 1";
        check::finite_at_least("multiplier", self.multiplier, 1.0, least)?;
        check::positive("window", self.window)?;
        Ok(Throttle {
            inner: Arc::new(Inner {
                name: self.name,
                multiplier: self.multiplier,
                width: SlidingWindow::cell_width(self.window),
                window: SlidingWindow::new(),
                random: self.seed.map_or_else(Random::from_entropy, Random::seeded),
                clock: self.clock.unwrap_or_else(clock::default_clock),
                observer: self.observer,
            }),
        })
    }
}

const REQUEST: [bool; 3] = [true, false, false];
const ACCEPT: [bool; 3] = [false, true, false];

impl Throttle {
    /// Starts to describe a throttle.
    pub fn builder(name: impl Into<Name>) -> ThrottleBuilder {
        ThrottleBuilder {
            name: name.into(),
            multiplier: 2.0,
            window: Duration::from_secs(120),
            seed: None,
            clock: None,
            observer: Watch::default(),
        }
    }

    /// The name that errors and events carry.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The probability with which the next call is refused here.
    pub fn rejection_probability(&self) -> f64 {
        self.inner.probability()
    }

    /// Asks for leave to make one call.
    ///
    /// # Errors
    /// The refusal. It has no `retry_after`: the next call may be lucky.
    pub fn try_acquire(&self) -> Result<ThrottlePermit, Rejected> {
        let inner = &self.inner;
        let probability = inner.probability();
        inner.count(REQUEST);
        if probability > 0.0 && inner.random.fraction() < probability {
            let rejected = Rejected::new(&inner.name, RejectedKind::Throttled, None);
            return Err(inner.observer.rejected(rejected));
        }
        Ok(ThrottlePermit {
            inner: Arc::clone(inner),
            told: false,
        })
    }

    /// Runs `future` unless the call is throttled. `Ok` counts as accepted and
    /// `Err` as not.
    ///
    /// # Errors
    /// [`Error::Rejected`] without polling the future, or [`Error::Inner`].
    pub async fn run<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        self.run_with(Outcome::of, future).await
    }

    /// Runs `future` unless the call is throttled; only a result that
    /// `classify` calls a failure counts as not accepted.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_with<T, E>(
        &self,
        classify: impl FnOnce(Result<&T, &E>) -> Outcome,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let permit = self.try_acquire().map_err(Error::Rejected)?;
        let result = future.await;
        permit.record(classify(result.as_ref()));
        result.map_err(Error::Inner)
    }

    /// The same for a future that other policies guard already.
    ///
    /// # Errors
    /// As [`run`](Self::run), without nesting the errors.
    pub async fn around<T, E>(
        &self,
        future: impl Future<Output = Result<T, Error<E>>>,
    ) -> Result<T, Error<E>> {
        let permit = self.try_acquire().map_err(Error::Rejected)?;
        let result = future.await;
        permit.record(outcome_of(&result, Outcome::of));
        result
    }
}

impl Inner {
    fn count(&self, adds: [bool; 3]) {
        self.window.record(0, self.clock.now(), self.width, adds);
    }

    fn probability(&self) -> f64 {
        let [requests, accepts, _] = self.window.sums(0, self.clock.now(), self.width);
        let (requests, accepts) = (requests as f64, accepts as f64);
        ((requests - self.multiplier * accepts) / (requests + 1.0)).max(0.0)
    }
}

/// A call that a [`Throttle`] let through.
#[must_use = "say whether the call was accepted"]
pub struct ThrottlePermit {
    inner: Arc<Inner>,
    told: bool,
}

impl ThrottlePermit {
    /// The other side did the work.
    pub fn accepted(self) {
        self.record(Outcome::Success);
    }

    /// The other side refused, or did not answer.
    pub fn refused(self) {
        self.record(Outcome::Failure);
    }

    /// Anything but a failure counts as accepted.
    pub fn record(mut self, outcome: Outcome) {
        self.told = true;
        if outcome != Outcome::Failure {
            self.inner.count(ACCEPT);
        }
    }
}

impl Drop for ThrottlePermit {
    fn drop(&mut self) {
        if !self.told && !std::thread::panicking() {
            self.inner.count(ACCEPT);
        }
    }
}

impl fmt::Debug for ThrottlePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ThrottlePermit")
            .field(&self.inner.name)
            .finish()
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("name", &self.name())
            .field("rejection_probability", &self.rejection_probability())
            .finish()
    }
}
