//! Give up waiting.
//!
//! Giving up drops the future, which is not the same as cancelling what it
//! started: a query goes on in the server, and the connection that waits for it
//! is of no use to the next caller. Pair the timeout with a slightly shorter
//! one on the other side, such as Postgres' `statement_timeout`.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use crate::{
    Clock, ConfigError, Deadline, Error, Event, Name, TokioClock,
    error::check,
    observer::{SharedObserver, Watch},
};

/// Runs `future` for at most `duration`.
///
/// # Errors
/// [`Error::Timeout`] when it took longer, [`Error::Inner`] with its own error.
///
/// ```
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let answer: Result<u32, mainstay_resilience::Error<std::io::Error>> =
///     mainstay_resilience::timeout(Duration::from_secs(1), async { Ok(42) }).await;
/// assert_eq!(answer.ok(), Some(42));
/// # }
/// ```
pub async fn timeout<T, E>(
    duration: Duration,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, Error<E>> {
    let future = pin!(future);
    match limit(duration, future).await {
        Some(result) => result.map_err(Error::Inner),
        None => Err(Error::Timeout {
            by: Name::literal("timeout"),
            after: duration,
        }),
    }
}

/// The output of `future`, or nothing when it took longer than `duration`.
pub(crate) async fn limit<F: Future>(
    duration: Duration,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the timer is tokio's, and so must be its clock"
    )]
    let start = tokio::time::Instant::now();
    // A call that is answered at once needs no timer.
    let first = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    if let Poll::Ready(output) = first {
        return Some(output);
    }
    match start.checked_add(duration) {
        Some(end) => tokio::time::timeout_at(end, future).await.ok(),
        // Later than any clock can show.
        None => Some(future.await),
    }
}

/// A time limit with a name, for use around many calls.
///
/// ```
/// use std::time::Duration;
/// use mainstay_resilience::Timeout;
///
/// let limit = Timeout::new("geocoder", Duration::from_secs(2));
/// assert!(limit.is_ok());
/// assert!(Timeout::new("geocoder", Duration::ZERO).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Timeout {
    name: Name,
    duration: Duration,
    observer: Watch,
}

impl Timeout {
    /// A limit of `duration`.
    ///
    /// # Errors
    /// When the duration is zero.
    pub fn new(name: impl Into<Name>, duration: Duration) -> Result<Self, ConfigError> {
        check::positive("duration", duration)?;
        Ok(Self {
            name: name.into(),
            duration,
            observer: Watch::default(),
        })
    }

    /// Tells `observer` of every timeout.
    #[must_use]
    pub fn with_observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// The limit.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Runs `future` within the limit.
    ///
    /// # Errors
    /// [`Error::Timeout`], or [`Error::Inner`].
    pub async fn run<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        self.run_within(Deadline::never(), future).await
    }

    /// Runs `future` within the limit or within what remains of `deadline`,
    /// whichever is shorter.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_within<T, E>(
        &self,
        deadline: Deadline,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let future = pin!(future);
        match self.limit(deadline, future).await {
            Ok(result) => result.map_err(Error::Inner),
            Err(timeout) => Err(timeout),
        }
    }

    /// The same for a future that other policies guard already.
    ///
    /// # Errors
    /// As [`run`](Self::run), without nesting the errors.
    pub async fn around<T, E>(
        &self,
        future: impl Future<Output = Result<T, Error<E>>>,
    ) -> Result<T, Error<E>> {
        let future = pin!(future);
        self.limit(Deadline::never(), future).await?
    }

    async fn limit<F: Future, E>(
        &self,
        deadline: Deadline,
        future: Pin<&mut F>,
    ) -> Result<F::Output, Error<E>> {
        let after = if deadline.is_never() {
            self.duration
        } else {
            self.duration
                .min(deadline.remaining(&TokioClock as &dyn Clock))
        };
        match limit(after, future).await {
            Some(output) => Ok(output),
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
