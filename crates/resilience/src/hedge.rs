//! Ask a second time when the first answer is slow.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    Clock, ConfigError, Deadline, Name, RetryBudget, RetryGrant, TokioClock,
    error::check,
    observer::{Event, SharedObserver, Watch},
};

/// Latencies that a percentile is taken of.
const SAMPLES: usize = 128;

/// Latencies before a percentile means something.
const LEAST_SAMPLES: usize = 20;

/// Starts another copy of a call that is slower than most, and takes the
/// answer that comes first.
///
/// A hedge cuts the long tail of latency at the price of a little more load
/// ("The Tail at Scale", Dean and Barroso, 2013). Use it for calls that may
/// run twice, such as reads: the copy that loses is dropped, not undone. When
/// the budget is exhausted the call goes on unhedged.
///
/// ```
/// # use std::time::Duration;
/// use mainstay_resilience::Hedge;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hedge = Hedge::builder("lookup")
///     .percentile(0.95)
///     .delay_between(Duration::from_millis(5), Duration::from_secs(1))
///     .build()?;
/// let answer: Result<u32, std::io::Error> = hedge.run(|copy| async move { Ok(copy) }).await;
/// assert_eq!(answer?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hedge {
    inner: Arc<Inner>,
}

struct Inner {
    name: Name,
    percentile: Option<f64>,
    least: Duration,
    longest: Duration,
    copies: u32,
    budget: RetryBudget,
    observer: Watch,
    latencies: Mutex<Latencies>,
}

/// The latest latencies, and the percentile as of a while ago.
#[derive(Debug, Default)]
struct Latencies {
    recent: Vec<Duration>,
    next: usize,
    since_computed: usize,
    percentile: Option<Duration>,
}

impl Latencies {
    fn push(&mut self, latency: Duration, percentile: f64) {
        if self.recent.len() < SAMPLES {
            self.recent.push(latency);
        } else if let Some(slot) = self.recent.get_mut(self.next) {
            *slot = latency;
        }
        self.next = (self.next + 1) % SAMPLES;
        self.since_computed += 1;
        if self.recent.len() >= LEAST_SAMPLES && self.since_computed >= 8 {
            self.since_computed = 0;
            let mut sorted = self.recent.clone();
            sorted.sort_unstable();
            let rank = (sorted.len() as f64 * percentile).ceil() as usize;
            self.percentile = sorted.get(rank.saturating_sub(1)).copied();
        }
    }
}

/// Describes a [`Hedge`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build"]
pub struct HedgeBuilder {
    name: Name,
    percentile: Option<f64>,
    least: Duration,
    longest: Duration,
    copies: u32,
    budget: Option<RetryBudget>,
    observer: Watch,
}

impl HedgeBuilder {
    /// Hedges after a fixed wait.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.percentile = None;
        self.least = delay;
        self.longest = delay;
        self
    }

    /// Hedges a call that takes longer than this share of the latest 128.
    /// Until 20 are known the longest wait applies. Default: 0.95.
    pub fn percentile(mut self, percentile: f64) -> Self {
        self.percentile = Some(percentile);
        self
    }

    /// The bounds of a learned wait. Default: 1 ms to 1 s.
    pub fn delay_between(mut self, least: Duration, longest: Duration) -> Self {
        self.least = least;
        self.longest = longest;
        self
    }

    /// Copies besides the first, from 1 to 8. Default: 1.
    pub fn max_hedges(mut self, copies: u32) -> Self {
        self.copies = copies;
        self
    }

    /// Bounds the hedges of all calls together. Default: a tenth of the calls.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Tells `observer` of every hedge.
    pub fn observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn build(self) -> Result<Hedge, ConfigError> {
        if let Some(percentile) = self.percentile {
            check::rate("percentile", percentile)?;
        }
        check::positive("delay", self.least)?;
        if self.least > self.longest {
            return Err(ConfigError::new("delay", "must be at most the longest"));
        }
        if !(1..=8).contains(&self.copies) {
            return Err(ConfigError::new("max_hedges", "must be from 1 to 8"));
        }
        let budget = match self.budget {
            Some(budget) => budget,
            None => RetryBudget::ratio(0.1)?,
        };
        Ok(Hedge {
            inner: Arc::new(Inner {
                name: self.name,
                percentile: self.percentile,
                least: self.least,
                longest: self.longest,
                copies: self.copies,
                budget,
                observer: self.observer,
                latencies: Mutex::new(Latencies::default()),
            }),
        })
    }
}

impl Hedge {
    /// Starts to describe a policy.
    pub fn builder(name: impl Into<Name>) -> HedgeBuilder {
        HedgeBuilder {
            name: name.into(),
            percentile: Some(0.95),
            least: Duration::from_millis(1),
            longest: Duration::from_secs(1),
            copies: 1,
            budget: None,
            observer: Watch::default(),
        }
    }

    /// The name that events carry.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The wait before a hedge, as of now.
    pub fn delay(&self) -> Duration {
        self.inner.delay()
    }

    /// Calls `operation`, and again while the answer is slow. It is given the
    /// number of the copy, counted from 1.
    ///
    /// The first success wins. A failure is the answer only when no other copy
    /// is under way: a hedge is not a retry.
    ///
    /// # Errors
    /// The operation's error, the last one when several copies failed.
    pub async fn run<T, E, Fut>(&self, operation: impl FnMut(u32) -> Fut) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        self.run_within(Deadline::never(), operation).await
    }

    /// The same, without starting a copy that could not begin before
    /// `deadline`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_within<T, E, Fut>(
        &self,
        deadline: Deadline,
        mut operation: impl FnMut(u32) -> Fut,
    ) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        let inner = &*self.inner;
        let _in_flight = inner.budget.begin();
        // Measured until the call is over, also when it is cancelled: the
        // slowest calls are those that nobody waits for.
        let _measured = Measured {
            inner,
            started: TokioClock.now(),
        };
        let delay = inner.delay();
        let mut first = pin!(operation(1));
        if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx))).await {
            return result;
        }
        let mut race = Race {
            first: Some(first),
            hedges: Vec::new(),
        };
        let mut copies = inner.copies;
        while copies > 0 && delay < deadline.remaining(&TokioClock) {
            let timer = pin!(tokio::time::sleep(delay));
            match race.until(timer).await {
                Some(result) => return result,
                None => {
                    let Some(grant) = inner.grant() else {
                        break;
                    };
                    copies -= 1;
                    inner.observer.emit(&Event::Hedged {
                        by: &inner.name,
                        delay,
                    });
                    let copy = inner.copies - copies + 1;
                    race.hedges.push((Box::pin(operation(copy)), grant));
                }
            }
        }
        poll_fn(|cx| race.poll(cx)).await
    }
}

impl Inner {
    fn delay(&self) -> Duration {
        if self.percentile.is_none() {
            return self.longest;
        }
        let latencies = self
            .latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        latencies.percentile.map_or(self.longest, |learned| {
            learned.max(self.least).min(self.longest)
        })
    }

    /// Pays for a hedge.
    fn grant(&self) -> Option<RetryGrant> {
        let mut grant = self.budget.try_retry();
        match &mut grant {
            Some(grant) => grant.spend(),
            None => self
                .observer
                .emit(&Event::BudgetExhausted { by: &self.name }),
        }
        grant
    }
}

/// Notes how long a call took when it is over.
struct Measured<'a> {
    inner: &'a Inner,
    started: Duration,
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        if let Some(percentile) = self.inner.percentile {
            let latency = TokioClock.now().saturating_sub(self.started);
            let mut latencies = self
                .inner
                .latencies
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            latencies.push(latency, percentile);
        }
    }
}

/// A copy besides the first, with what paid for it.
type HedgeCopy<F> = (Pin<Box<F>>, RetryGrant);

/// The copies of a call that are under way.
struct Race<'a, F> {
    first: Option<Pin<&'a mut F>>,
    hedges: Vec<HedgeCopy<F>>,
}

impl<T, E, F: Future<Output = Result<T, E>>> Race<'_, F> {
    /// The answer, once there is a success or only failures.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        let mut failed = None;
        if let Some(first) = &mut self.first
            && let Poll::Ready(result) = first.as_mut().poll(cx)
        {
            match result {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(error) => {
                    self.first = None;
                    failed = Some(error);
                }
            }
        }
        let mut index = 0;
        while let Some((hedge, _)) = self.hedges.get_mut(index) {
            match hedge.as_mut().poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(Ok(value)) => return Poll::Ready(Ok(value)),
                Poll::Ready(Err(error)) => {
                    drop(self.hedges.remove(index));
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if self.first.is_none() && self.hedges.is_empty() => {
                Poll::Ready(Err(error))
            }
            _ => Poll::Pending,
        }
    }

    /// The answer, or nothing when the timer comes first.
    async fn until(&mut self, mut timer: Pin<&mut tokio::time::Sleep>) -> Option<Result<T, E>> {
        poll_fn(|cx| {
            if let Poll::Ready(result) = self.poll(cx) {
                return Poll::Ready(Some(result));
            }
            timer.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("name", &self.name())
            .field("delay", &self.delay())
            .finish()
    }
}
