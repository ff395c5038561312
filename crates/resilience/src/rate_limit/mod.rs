//! So many calls in so much time.

mod cell;
mod keyed;
mod quota;

use std::{future::Future, sync::Arc, time::Duration};

pub(crate) use cell::Cell;
pub use keyed::{KeyedRateLimiter, KeyedRateLimiterBuilder};
pub(crate) use quota::Meter;
pub use quota::Quota;

use crate::{
    ConfigError, Error, Name, Rejected, RejectedKind, SharedClock, clock,
    observer::{SharedObserver, Watch},
    sync::{Mutex, Settings, lock},
};

/// What is left of a quota after a call, as rate limit headers tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitState {
    /// Calls that may come at once.
    pub limit: u32,
    /// Calls that may come now.
    pub remaining: u32,
    /// The time until all of the quota is there again.
    pub reset_after: Duration,
}

impl RateLimitState {
    fn new(meter: &Meter, used: u64) -> Self {
        let free = meter.calls_in(meter.capacity.saturating_sub(used));
        Self {
            limit: u32::try_from(meter.burst).unwrap_or(u32::MAX),
            remaining: u32::try_from(free).unwrap_or(u32::MAX),
            reset_after: Duration::from_nanos(used),
        }
    }
}

/// A rate limit for one thing: a handle to one shared cell, cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use mainstay_resilience::{Quota, RateLimiter};
///
/// # fn main() -> Result<(), mainstay_resilience::ConfigError> {
/// let limiter = RateLimiter::new("geocoder", Quota::per(Duration::from_secs(60), 2))?;
/// assert!(limiter.check().is_ok());
/// assert!(limiter.check().is_ok());
/// let refused = limiter.check().unwrap_err();
/// assert!(refused.retry_after().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RateLimiter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cell: Cell,
    meter: Settings<4>,
    /// The quota that the meter was made of.
    quota: Mutex<Quota>,
    clock: SharedClock,
    observer: Watch,
    name: Name,
}

impl RateLimiter {
    /// A limiter with the whole burst available.
    ///
    /// # Errors
    /// When the quota makes no sense.
    pub fn new(name: impl Into<Name>, quota: Quota) -> Result<Self, ConfigError> {
        quota.validate()?;
        Ok(Self {
            inner: Arc::new(Inner {
                cell: Cell::new(),
                meter: Settings::new(Meter::of(&quota).pack()),
                quota: Mutex::new(quota),
                clock: clock::default_clock(),
                observer: Watch::default(),
                name: name.into(),
            }),
        })
    }

    /// Reads the time from `clock`. Starts anew: call it right after `new`.
    #[must_use]
    pub fn with_clock(self, clock: SharedClock) -> Self {
        let observer = self.inner.observer.clone();
        self.rebuild(clock, observer)
    }

    /// Tells `observer` of refusals. Starts anew: call it right after `new`.
    #[must_use]
    pub fn with_observer(self, observer: SharedObserver) -> Self {
        let clock = Arc::clone(&self.inner.clock);
        self.rebuild(clock, Watch(Some(observer)))
    }

    fn rebuild(self, clock: SharedClock, observer: Watch) -> Self {
        Self {
            inner: Arc::new(Inner {
                cell: Cell::new(),
                meter: Settings::new(self.inner.meter.load()),
                quota: Mutex::new(self.quota()),
                clock,
                observer,
                name: self.inner.name.clone(),
            }),
        }
    }

    /// The name that errors and events carry.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Takes one call out of the quota.
    ///
    /// # Errors
    /// The refusal, with the time until the next call is allowed.
    pub fn check(&self) -> Result<RateLimitState, Rejected> {
        let meter = Meter::unpack(self.inner.meter.load());
        let now = self.inner.clock.now();
        self.inner
            .cell
            .check(&meter, now)
            .map_err(|wait| refuse(&self.inner.name, &self.inner.observer, wait))
    }

    /// What is left, without taking any of it.
    pub fn peek(&self) -> RateLimitState {
        let meter = Meter::unpack(self.inner.meter.load());
        let used = self.inner.cell.used(meter.capacity, self.inner.clock.now());
        RateLimitState::new(&meter, used)
    }

    /// The quota in force.
    pub fn quota(&self) -> Quota {
        *lock(&self.inner.quota)
    }

    /// Changes the quota; what was used stays used.
    ///
    /// # Errors
    /// When the quota makes no sense; the old one stays then.
    pub fn reconfigure(&self, quota: Quota) -> Result<(), ConfigError> {
        quota.validate()?;
        let mut current = lock(&self.inner.quota);
        self.inner.meter.store(Meter::of(&quota).pack());
        *current = quota;
        Ok(())
    }

    /// Runs `future` if the quota allows it.
    ///
    /// # Errors
    /// [`Error::Rejected`] without polling the future, or [`Error::Inner`].
    pub async fn run<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        self.check().map_err(Error::Rejected)?;
        future.await.map_err(Error::Inner)
    }

    /// The same for a future that other policies guard already.
    ///
    /// # Errors
    /// As [`run`](Self::run), without nesting the errors.
    pub async fn around<T, E>(
        &self,
        future: impl Future<Output = Result<T, Error<E>>>,
    ) -> Result<T, Error<E>> {
        self.check().map_err(Error::Rejected)?;
        future.await
    }
}

fn refuse(name: &Name, observer: &Watch, wait: Duration) -> Rejected {
    observer.rejected(Rejected::new(name, RejectedKind::RateLimited, Some(wait)))
}
