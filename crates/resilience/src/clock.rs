//! Time as a value that a test can hold.
//!
//! Every policy reads the time through a [`Clock`]. Durations are measured on
//! the monotonic reading, so that a correction of the wall clock can neither
//! hold a breaker open nor let a limiter pass too much.

use std::{
    fmt::Debug,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use std::sync::{Mutex, PoisonError};

/// A source of monotonic and wall time.
pub trait Clock: Send + Sync + Debug + 'static {
    /// Monotonic time since the clock's own origin.
    ///
    /// Policies tolerate a reading that steps backwards: they take it for no
    /// time at all.
    fn now(&self) -> Duration;

    /// Wall time since the Unix epoch.
    fn unix_time(&self) -> Duration;
}

/// A clock that policies share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
pub fn system_clock() -> SharedClock {
    static CLOCK: OnceLock<SharedClock> = OnceLock::new();
    Arc::clone(CLOCK.get_or_init(|| Arc::new(SystemClock)))
}

/// The clock that a policy uses when it was given none: [`TokioClock`] with
/// the feature `tokio`, so that pausing tokio's time moves every policy, and
/// [`SystemClock`] otherwise.
pub fn default_clock() -> SharedClock {
    #[cfg(feature = "tokio")]
    {
        static CLOCK: OnceLock<SharedClock> = OnceLock::new();
        Arc::clone(CLOCK.get_or_init(|| Arc::new(TokioClock)))
    }
    #[cfg(not(feature = "tokio"))]
    system_clock()
}

/// The reading of [`SystemClock`] and [`TokioClock`] at `instant`: one origin
/// for the process, so that readings of both compare.
///
/// The origin is a day before the first reading, since tokio's paused clock may
/// have been stopped before that.
fn reading(instant: Instant) -> Duration {
    const FIRST: Duration = Duration::from_secs(86_400);
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(|| instant);
    match instant.checked_duration_since(start) {
        Some(after) => FIRST.saturating_add(after),
        None => FIRST.saturating_sub(start.saturating_duration_since(instant)),
    }
}

/// The machine's clocks: `CLOCK_MONOTONIC` and the system time. The only type
/// of the crate that reads them.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the machine's clock is read"
    )]
    fn now(&self) -> Duration {
        reading(Instant::now())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the machine's clock is read"
    )]
    fn unix_time(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
    }
}

/// Tokio's clock: equal to [`SystemClock`], except that its monotonic reading
/// stands still and jumps together with tokio's paused time.
#[cfg(feature = "tokio")]
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioClock;

#[cfg(feature = "tokio")]
impl Clock for TokioClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "tokio's clock is what this type wraps"
    )]
    fn now(&self) -> Duration {
        reading(tokio::time::Instant::now().into_std())
    }

    fn unix_time(&self) -> Duration {
        SystemClock.unix_time()
    }
}

/// A clock that moves when it is told to.
///
/// It starts at zero, with the wall clock at the Unix epoch.
///
/// ```
/// use std::time::Duration;
/// use mainstay_resilience::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    reading: Arc<Mutex<Reading>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Reading {
    monotonic: Duration,
    unix: Duration,
}

impl ManualClock {
    /// A clock at zero. Clones show the same time.
    pub fn new() -> Self {
        Self::default()
    }

    /// This clock as a policy takes it; both move together.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }

    /// Moves both the monotonic and the wall reading forward.
    pub fn advance(&self, by: Duration) {
        self.update(|reading| {
            reading.monotonic = reading.monotonic.saturating_add(by);
            reading.unix = reading.unix.saturating_add(by);
        });
    }

    /// Sets the monotonic reading, even backwards, as a broken clock would.
    pub fn set(&self, monotonic: Duration) {
        self.update(|reading| reading.monotonic = monotonic);
    }

    /// Sets the wall time, as an operator or NTP would; the monotonic reading
    /// stays.
    pub fn set_unix_time(&self, unix: Duration) {
        self.update(|reading| reading.unix = unix);
    }

    fn update(&self, change: impl FnOnce(&mut Reading)) {
        change(&mut self.reading.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> Reading {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.read().monotonic
    }

    fn unix_time(&self) -> Duration {
        self.read().unix
    }
}
