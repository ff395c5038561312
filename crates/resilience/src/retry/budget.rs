//! How many retries a whole process may make.
//!
//! A limit for each call is not enough: when everything fails, three attempts
//! for each call triple the load on a side that is down already. A budget
//! bounds the sum. It has two forms that may be combined: retries as a share of
//! the calls made, and retries as a share of the calls in flight.

use std::{sync::Arc, time::Duration};

use crate::{
    ConfigError, SharedClock, clock,
    error::check,
    rate_limit::{Cell, Meter, Quota},
    sync::{AtomicU64, Ordering},
};

/// A millionth of a retry: shares of calls are added up exactly.
const UNIT: u64 = 1_000_000;

/// A budget of retries, shared by its clones.
///
/// The default is Finagle's and Envoy's advice together: a fifth of the calls,
/// at least ten retries a second, and no more under way than a fifth of the
/// calls in flight, or three.
///
/// ```
/// use mainstay_resilience::RetryBudget;
///
/// # fn main() -> Result<(), mainstay_resilience::ConfigError> {
/// let budget = RetryBudget::builder().ratio(0.1).floor_per_second(0).build()?;
/// for _ in 0..9 {
///     budget.deposit();
///     assert!(budget.try_retry().is_none());
/// }
/// budget.deposit();
/// assert!(budget.try_retry().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RetryBudget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Millionths of a retry that a call deposits; `None` without that form.
    deposit: Option<u64>,
    capacity: u64,
    balance: AtomicU64,
    floor: Option<(Cell, Meter)>,
    in_flight_share: Option<f64>,
    least_in_flight: u64,
    in_flight: AtomicU64,
    retrying: AtomicU64,
    clock: SharedClock,
}

/// Describes a [`RetryBudget`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build"]
pub struct RetryBudgetBuilder {
    ratio: Option<f64>,
    floor_per_second: u32,
    capacity: u32,
    in_flight: Option<f64>,
    least_in_flight: u32,
    clock: Option<SharedClock>,
}

impl RetryBudgetBuilder {
    /// Retries for each call, above 0 and at most 1. Default: 0.2.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }

    /// Retries a second that are granted however few calls there are; zero for
    /// none. Default: 10.
    pub fn floor_per_second(mut self, retries: u32) -> Self {
        self.floor_per_second = retries;
        self
    }

    /// The most retries that calls can save up. Default: 100.
    pub fn capacity(mut self, retries: u32) -> Self {
        self.capacity = retries;
        self
    }

    /// Bounds the retries under way to a share of the calls in flight, above 0
    /// and at most 1, though at least `least`.
    pub fn in_flight(mut self, share: f64, least: u32) -> Self {
        self.in_flight = Some(share);
        self.least_in_flight = least;
        self
    }

    /// Keeps only the form [`in_flight`](Self::in_flight).
    pub fn without_ratio(mut self) -> Self {
        self.ratio = None;
        self.floor_per_second = 0;
        self
    }

    /// Reads the time for the floor from `clock`.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The budget.
    ///
    /// # Errors
    /// Names the setting that makes no sense; a budget needs one of its forms.
    pub fn build(self) -> Result<RetryBudget, ConfigError> {
        if let Some(ratio) = self.ratio {
            check::rate("ratio", ratio)?;
        }
        if let Some(share) = self.in_flight {
            check::rate("in_flight", share)?;
        }
        if self.ratio.is_none() && self.in_flight.is_none() {
            return Err(ConfigError::new(
                "ratio",
                "needs a ratio, a share in flight, or both",
            ));
        }
        check::at_least_one("capacity", self.capacity.into())?;
        let floor = match self.floor_per_second {
            0 => None,
            retries => {
                let quota = Quota::per(Duration::from_secs(1), retries);
                Some((Cell::new(), Meter::of(&quota)))
            }
        };
        Ok(RetryBudget {
            inner: Arc::new(Inner {
                deposit: self.ratio.map(|ratio| (ratio * UNIT as f64).round() as u64),
                capacity: u64::from(self.capacity) * UNIT,
                balance: AtomicU64::new(0),
                floor,
                in_flight_share: self.in_flight,
                least_in_flight: self.least_in_flight.into(),
                in_flight: AtomicU64::new(0),
                retrying: AtomicU64::new(0),
                clock: self.clock.unwrap_or_else(clock::default_clock),
            }),
        })
    }
}

impl RetryBudget {
    /// Starts to describe a budget.
    pub fn builder() -> RetryBudgetBuilder {
        RetryBudgetBuilder {
            ratio: Some(0.2),
            floor_per_second: 10,
            capacity: 100,
            in_flight: None,
            least_in_flight: 3,
            clock: None,
        }
    }

    /// A budget of `ratio` retries for each call, and nothing besides.
    ///
    /// # Errors
    /// When the ratio is not above 0 and at most 1.
    pub fn ratio(ratio: f64) -> Result<Self, ConfigError> {
        Self::builder().ratio(ratio).floor_per_second(0).build()
    }

    /// Counts a call, which earns its share of a retry.
    pub fn deposit(&self) {
        let Some(deposit) = self.inner.deposit else {
            return;
        };
        let capacity = self.inner.capacity;
        // A full balance is only read: a healthy process writes nothing.
        if self.inner.balance.load(Ordering::Relaxed) < capacity {
            update(&self.inner.balance, |balance| {
                Some(balance.saturating_add(deposit).min(capacity))
            });
        }
    }

    /// Counts a call, and keeps it counted as in flight until the guard is
    /// dropped.
    pub fn call(&self) -> InFlight {
        self.deposit();
        self.inner.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight {
            inner: Arc::clone(&self.inner),
        }
    }

    /// The same, counting calls in flight only where somebody asks for them: a
    /// budget by ratio writes nothing while it is full.
    #[cfg(feature = "tokio")]
    pub(crate) fn begin(&self) -> Option<InFlight> {
        if self.inner.in_flight_share.is_some() {
            return Some(self.call());
        }
        self.deposit();
        None
    }

    /// Takes one retry out of the budget, if it has one.
    ///
    /// The grant counts as under way until it is dropped; dropping it before
    /// [`spend`](RetryGrant::spend) gives the retry back.
    pub fn try_retry(&self) -> Option<RetryGrant> {
        let inner = &self.inner;
        let bounded = inner.in_flight_share.is_some();
        if let Some(share) = inner.in_flight_share {
            let calls = inner.in_flight.load(Ordering::Relaxed);
            let most = ((calls as f64 * share) as u64).max(inner.least_in_flight);
            update(&inner.retrying, |retrying| {
                (retrying < most).then(|| retrying + 1)
            })?;
        }
        let Some(source) = inner.withdraw() else {
            if bounded {
                inner.retrying.fetch_sub(1, Ordering::Relaxed);
            }
            return None;
        };
        Some(RetryGrant {
            inner: Arc::clone(inner),
            source,
            spent: false,
        })
    }

    /// Whole retries that calls have saved up.
    pub fn balance(&self) -> u64 {
        self.inner.balance.load(Ordering::Relaxed) / UNIT
    }
}

/// Where a retry was paid from.
#[derive(Debug, Clone, Copy)]
enum Source {
    Balance,
    /// The floor refills by itself; nothing is given back.
    Floor,
    /// Only the form in flight is in use.
    Free,
}

impl Inner {
    fn withdraw(&self) -> Option<Source> {
        if self.deposit.is_none() {
            return Some(Source::Free);
        }
        if update(&self.balance, |balance| balance.checked_sub(UNIT)).is_some() {
            return Some(Source::Balance);
        }
        let (cell, meter) = self.floor.as_ref()?;
        cell.check(meter, self.clock.now()).ok()?;
        Some(Source::Floor)
    }
}

/// Applies `change` until it sticks; nothing when it declines.
fn update(value: &AtomicU64, change: impl Fn(u64) -> Option<u64>) -> Option<u64> {
    value
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
        .ok()
}

/// A call in flight, see [`RetryBudget::call`].
#[derive(Debug)]
#[must_use = "the call counts as in flight only while this lives"]
pub struct InFlight {
    inner: Arc<Inner>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.inner.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Leave to make one retry, see [`RetryBudget::try_retry`].
#[derive(Debug)]
#[must_use = "dropping it gives the retry back"]
pub struct RetryGrant {
    inner: Arc<Inner>,
    source: Source,
    spent: bool,
}

impl RetryGrant {
    /// The retry begins: it is not given back any more. It is under way until
    /// the grant is dropped.
    pub fn spend(&mut self) {
        self.spent = true;
    }
}

impl Drop for RetryGrant {
    fn drop(&mut self) {
        if self.inner.in_flight_share.is_some() {
            self.inner.retrying.fetch_sub(1, Ordering::Relaxed);
        }
        if !self.spent && matches!(self.source, Source::Balance) {
            let capacity = self.inner.capacity;
            update(&self.inner.balance, |balance| {
                Some(balance.saturating_add(UNIT).min(capacity))
            });
        }
    }
}
