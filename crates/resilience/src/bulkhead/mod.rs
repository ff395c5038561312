//! So many calls at once, and no more.

mod queue;

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use crate::{
    ConfigError, Name, Rejected, RejectedKind,
    error::check,
    observer::{SharedObserver, Watch},
    sync::{AtomicU64, Ordering, nanos},
};
use queue::Permits;

#[cfg(feature = "tokio")]
use crate::{Deadline, Error};

/// A bound on the calls in flight, with a bounded queue in front of it: a
/// handle to one shared state, cheap to clone.
///
/// ```
/// # use std::time::Duration;
/// use mainstay_resilience::Bulkhead;
///
/// # fn main() -> Result<(), mainstay_resilience::ConfigError> {
/// // Two calls at once; eight wait for at most half a second.
/// let bulkhead = Bulkhead::new("reports", 2, 8, Duration::from_millis(500))?;
/// let first = bulkhead.try_acquire();
/// let second = bulkhead.try_acquire();
/// assert!(bulkhead.try_acquire().is_err());
/// drop(first);
/// assert!(bulkhead.try_acquire().is_ok());
/// # drop(second);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Bulkhead {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    permits: Permits,
    /// The longest wait, in nanoseconds.
    wait: AtomicU64,
    name: Name,
    observer: Watch,
}

impl Bulkhead {
    /// At most `max` calls at once, and at most `queue` callers that wait for
    /// at most `wait` each.
    ///
    /// # Errors
    /// When `max` is zero, or when there is a queue and nobody may wait in it.
    pub fn new(
        name: impl Into<Name>,
        max: u32,
        queue: u32,
        wait: Duration,
    ) -> Result<Self, ConfigError> {
        validate(max, queue, wait)?;
        Ok(Self {
            inner: Arc::new(Inner {
                permits: Permits::new(max, queue),
                wait: AtomicU64::new(nanos(wait)),
                name: name.into(),
                observer: Watch::default(),
            }),
        })
    }

    /// Tells `observer` of refusals. Starts anew: call it right after `new`.
    #[must_use]
    pub fn with_observer(self, observer: SharedObserver) -> Self {
        let (max, queue) = self.inner.permits.limits();
        Self {
            inner: Arc::new(Inner {
                permits: Permits::new(max, queue),
                wait: AtomicU64::new(self.inner.wait.load(Ordering::Relaxed)),
                name: self.inner.name.clone(),
                observer: Watch(Some(observer)),
            }),
        }
    }

    /// The name that errors and events carry.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Takes a permit if one is free and nobody waits for it.
    ///
    /// # Errors
    /// The refusal.
    pub fn try_acquire(&self) -> Result<BulkheadPermit, Rejected> {
        match self.inner.permits.try_take() {
            Ok(()) => Ok(self.permit()),
            Err(_) => Err(self.inner.refuse(RejectedKind::QueueFull)),
        }
    }

    /// Takes a permit, waiting for it until `stop` completes. This is what
    /// [`acquire`](Self::acquire) does with tokio's timer; use it with the
    /// timer of another runtime.
    ///
    /// # Errors
    /// The refusal, when the queue is full or `stop` came first.
    pub async fn acquire_until(
        &self,
        stop: impl Future<Output = ()>,
    ) -> Result<BulkheadPermit, Rejected> {
        self.inner.take_until(stop).await?;
        Ok(self.permit())
    }

    fn permit(&self) -> BulkheadPermit {
        BulkheadPermit {
            slot: Slot(Arc::clone(&self.inner)),
        }
    }

    /// Permits in use and callers that wait.
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let (in_use, waiting) = self.inner.permits.counts();
        let (max, queue) = self.inner.permits.limits();
        BulkheadSnapshot {
            in_use,
            max,
            waiting,
            queue,
        }
    }

    /// Changes the limits. Permits in use stay valid; with a smaller `max` new
    /// ones are given when enough of them have been returned.
    ///
    /// # Errors
    /// As [`new`](Self::new); the old limits stay then.
    pub fn reconfigure(&self, max: u32, queue: u32, wait: Duration) -> Result<(), ConfigError> {
        validate(max, queue, wait)?;
        self.inner.wait.store(nanos(wait), Ordering::Relaxed);
        self.inner.permits.resize(max, queue);
        Ok(())
    }
}

#[cfg(feature = "tokio")]
impl Bulkhead {
    /// Takes a permit, waiting for it in the queue if need be.
    ///
    /// # Errors
    /// The refusal, when the queue is full or the wait was too long.
    pub async fn acquire(&self) -> Result<BulkheadPermit, Rejected> {
        self.acquire_within(Deadline::never()).await
    }

    /// The same, waiting no longer than `deadline` leaves.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_within(&self, deadline: Deadline) -> Result<BulkheadPermit, Rejected> {
        self.inner.take_within(deadline).await?;
        Ok(self.permit())
    }

    /// Runs `future` with a permit.
    ///
    /// # Errors
    /// [`Error::Rejected`] without polling the future, or [`Error::Inner`].
    pub async fn run<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        self.run_within(Deadline::never(), future).await
    }

    /// Runs `future` with a permit, waiting for it no longer than `deadline`
    /// leaves.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_within<T, E>(
        &self,
        deadline: Deadline,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let _slot = self.slot(deadline).await.map_err(Error::Rejected)?;
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
        let _slot = self
            .slot(Deadline::never())
            .await
            .map_err(Error::Rejected)?;
        future.await
    }

    pub(crate) async fn slot(&self, deadline: Deadline) -> Result<Slot<&Inner>, Rejected> {
        let inner = &*self.inner;
        inner.take_within(deadline).await?;
        Ok(Slot(inner))
    }
}

impl Inner {
    fn refuse(&self, kind: RejectedKind) -> Rejected {
        self.observer
            .rejected(Rejected::new(&self.name, kind, None))
    }

    async fn take_until(&self, stop: impl Future<Output = ()>) -> Result<(), Rejected> {
        if self.permits.try_take().is_ok() {
            return Ok(());
        }
        let mut take = pin!(self.permits.take());
        let mut stop = pin!(stop);
        let taken = std::future::poll_fn(|cx| {
            if let std::task::Poll::Ready(taken) = take.as_mut().poll(cx) {
                return std::task::Poll::Ready(Some(taken));
            }
            stop.as_mut().poll(cx).map(|()| None)
        })
        .await;
        match taken {
            Some(Ok(())) => Ok(()),
            Some(Err(queue::Full)) => Err(self.refuse(RejectedKind::QueueFull)),
            None => Err(self.refuse(RejectedKind::QueueTimeout)),
        }
    }

    #[cfg(feature = "tokio")]
    async fn take_within(&self, deadline: Deadline) -> Result<(), Rejected> {
        if self.permits.try_take().is_ok() {
            return Ok(());
        }
        let wait = Duration::from_nanos(self.wait.load(Ordering::Relaxed))
            .min(deadline.remaining(&crate::TokioClock));
        // Made when it is first polled: a full queue needs no timer.
        self.take_until(async { tokio::time::sleep(wait).await })
            .await
    }
}

pub(crate) fn validate(max: u32, queue: u32, wait: Duration) -> Result<(), ConfigError> {
    check::at_least_one("max", max.into())?;
    if queue > 0 {
        check::positive("wait", wait)?;
    }
    Ok(())
}

/// Returns its permit when dropped.
pub(crate) struct Slot<I: std::ops::Deref<Target = Inner>>(I);

impl<I: std::ops::Deref<Target = Inner>> Drop for Slot<I> {
    fn drop(&mut self) {
        self.0.permits.release();
    }
}

/// A permit of a bulkhead, returned when it is dropped.
#[must_use = "the permit is returned when this is dropped"]
pub struct BulkheadPermit {
    slot: Slot<Arc<Inner>>,
}

impl fmt::Debug for BulkheadPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadPermit")
            .field("bulkhead", &self.slot.0.name)
            .finish()
    }
}

/// How full a bulkhead is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// Permits in use.
    pub in_use: u32,
    /// Permits in all.
    pub max: u32,
    /// Callers that wait.
    pub waiting: u32,
    /// Callers that may wait.
    pub queue: u32,
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead")
            .field("name", &self.name())
            .field("snapshot", &self.snapshot())
            .finish()
    }
}
