//! When there is too much to do, do what matters most.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use crate::{
    ConfigError, Error, Name, Rejected, RejectedKind,
    error::check,
    observer::{SharedObserver, Watch},
};

/// How much a call matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Priority {
    /// Nobody waits for it.
    Background,
    /// Somebody waits and can do without.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Somebody's work stops without it.
    High,
    /// Health, payment, the operator: shed only when nothing else is left.
    Critical,
}

impl Priority {
    const ALL: [Self; 5] = [
        Self::Background,
        Self::Low,
        Self::Normal,
        Self::High,
        Self::Critical,
    ];
}

/// Sheds calls by priority as the load grows.
///
/// The load is the share of the allowed calls that are in flight, or the
/// pressure that the embedder reports (memory, delay of a queue), whichever is
/// greater. Each priority has a load from which it is shed; the defaults are
/// 0.5, 0.7, 0.85, 0.95 and 1 from background to critical.
///
/// ```
/// use mainstay_resilience::{Priority, Shedder};
///
/// # fn main() -> Result<(), mainstay_resilience::ConfigError> {
/// let shedder = Shedder::builder("api", 100).build()?;
/// shedder.set_pressure(0.9);
/// assert!(shedder.try_acquire(Priority::Normal).is_err());
/// assert!(shedder.try_acquire(Priority::High).is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Shedder {
    inner: Arc<Inner>,
}

struct Inner {
    name: Name,
    most: u32,
    /// The load from which each priority is shed.
    limits: [f64; 5],
    in_flight: AtomicU32,
    /// The bits of a share from 0 to 1.
    pressure: AtomicU64,
    observer: Watch,
}

/// Describes a [`Shedder`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build"]
pub struct ShedderBuilder {
    name: Name,
    most: u32,
    limits: [f64; 5],
    observer: Watch,
}

impl ShedderBuilder {
    /// Sheds calls of `priority` from this load on, above 0 and at most 1.
    pub fn shed_from(mut self, priority: Priority, load: f64) -> Self {
        if let Some(limit) = self.limits.get_mut(priority as usize) {
            *limit = load;
        }
        self
    }

    /// Tells `observer` of refusals.
    pub fn observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// The shedder.
    ///
    /// # Errors
    /// When no call may be in flight, when a load is not above 0 and at most 1,
    /// or when a priority would be shed before a lower one.
    pub fn build(self) -> Result<Shedder, ConfigError> {
        check::at_least_one("most", self.most.into())?;
        for limit in self.limits {
            check::rate("shed_from", limit)?;
        }
        if !self.limits.is_sorted() {
            return Err(ConfigError::new(
                "shed_from",
                "must not fall from a lower priority to a higher one",
            ));
        }
        Ok(Shedder {
            inner: Arc::new(Inner {
                name: self.name,
                most: self.most,
                limits: self.limits,
                in_flight: AtomicU32::new(0),
                pressure: AtomicU64::new(0),
                observer: self.observer,
            }),
        })
    }
}

impl Shedder {
    /// Starts to describe a shedder that is fully loaded by `most` calls in
    /// flight.
    pub fn builder(name: impl Into<Name>, most: u32) -> ShedderBuilder {
        ShedderBuilder {
            name: name.into(),
            most,
            limits: [0.5, 0.7, 0.85, 0.95, 1.0],
            observer: Watch::default(),
        }
    }

    /// The name that errors and events carry.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Reports the load by another measure, from 0 to 1; anything else is
    /// taken for the nearer of the two, and NaN for 0.
    pub fn set_pressure(&self, pressure: f64) {
        let pressure = if pressure.is_nan() {
            0.0
        } else {
            pressure.clamp(0.0, 1.0)
        };
        self.inner
            .pressure
            .store(pressure.to_bits(), Ordering::Relaxed);
    }

    /// The load, from 0 to 1.
    pub fn load(&self) -> f64 {
        self.inner
            .load(self.inner.in_flight.load(Ordering::Relaxed))
    }

    /// The lowest priority that is admitted now, if any is.
    pub fn admits(&self) -> Option<Priority> {
        let load = self.load();
        Priority::ALL
            .into_iter()
            .find(|priority| load < self.inner.limit(*priority))
    }

    /// Asks for leave to make one call of this priority.
    ///
    /// # Errors
    /// The refusal.
    pub fn try_acquire(&self, priority: Priority) -> Result<ShedPermit, Rejected> {
        let inner = &self.inner;
        let limit = inner.limit(priority);
        let admitted =
            inner
                .in_flight
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |in_flight| {
                    (inner.load(in_flight) < limit).then(|| in_flight.saturating_add(1))
                });
        match admitted {
            Ok(_) => Ok(ShedPermit {
                inner: Arc::clone(inner),
            }),
            Err(_) => {
                let rejected = Rejected::new(&inner.name, RejectedKind::Shed, None);
                Err(inner.observer.rejected(rejected))
            }
        }
    }

    /// Runs `future` unless calls of this priority are being shed.
    ///
    /// # Errors
    /// [`Error::Rejected`] without polling the future, or [`Error::Inner`].
    pub async fn run<T, E>(
        &self,
        priority: Priority,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let _permit = self.try_acquire(priority).map_err(Error::Rejected)?;
        future.await.map_err(Error::Inner)
    }

    /// The same for a future that other policies guard already.
    ///
    /// # Errors
    /// As [`run`](Self::run), without nesting the errors.
    pub async fn around<T, E>(
        &self,
        priority: Priority,
        future: impl Future<Output = Result<T, Error<E>>>,
    ) -> Result<T, Error<E>> {
        let _permit = self.try_acquire(priority).map_err(Error::Rejected)?;
        future.await
    }
}

impl Inner {
    fn limit(&self, priority: Priority) -> f64 {
        self.limits.get(priority as usize).copied().unwrap_or(1.0)
    }

    fn load(&self, in_flight: u32) -> f64 {
        let pressure = f64::from_bits(self.pressure.load(Ordering::Relaxed));
        (f64::from(in_flight) / f64::from(self.most.max(1))).max(pressure)
    }
}

/// A call in flight; it counts until it is dropped.
#[must_use = "the call counts as in flight only while this lives"]
pub struct ShedPermit {
    inner: Arc<Inner>,
}

impl Drop for ShedPermit {
    fn drop(&mut self) {
        self.inner.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for ShedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShedPermit").field(&self.inner.name).finish()
    }
}

impl fmt::Debug for Shedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shedder")
            .field("name", &self.name())
            .field("load", &self.load())
            .finish()
    }
}
