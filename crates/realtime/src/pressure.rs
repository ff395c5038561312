//! How hard the process is pressed, in steps that come and go with hysteresis.
//!
//! Each signal is held against its own limit; the worst one counts. The level
//! rises at once and by as many steps as it must, and falls one step at a time
//! after the pressure has stayed lower for a while, so that it does not swing.

use crate::lock::lock;
use mainstay_resilience::SharedClock;
use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

/// The limits: a signal at its limit is a pressure of 1.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PressureConfig {
    /// Resident memory. Default 1.5 GiB.
    pub memory_bytes: u64,
    /// How late the event loop runs its timers, in milliseconds. Default 250.
    pub lag_millis: u64,
    /// Bytes that wait in the queues of all connections. Default 128 MiB.
    pub queue_bytes: u64,
    /// The part of its processors that the process uses, from 0 to 1, times
    /// 100. Default 95.
    pub cpu_percent: u32,
    /// How long the pressure has to stay lower before the level falls by one
    /// step, in seconds. Default 10.
    pub calm_seconds: u64,
}

impl Default for PressureConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 1536 * 1024 * 1024,
            lag_millis: 250,
            queue_bytes: 128 * 1024 * 1024,
            cpu_percent: 95,
            calm_seconds: 10,
        }
    }
}

/// What was measured at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// How late a timer ran.
    pub lag: Duration,
    /// Bytes that wait in the queues of all connections.
    pub queue_bytes: u64,
    /// The part of its processors that the process uses, times 100.
    pub cpu_percent: u32,
}

/// What to do about it. Each level includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Nothing.
    Calm = 0,
    /// Send less: low-priority topics thinned, deltas joined for longer.
    Thin = 1,
    /// Take no new sockets; tell clients to poll.
    Refuse = 2,
    /// Move idle sockets to polling.
    Shed = 3,
}

impl Level {
    /// All levels, mildest first, with the pressure at which each begins.
    const STEPS: [(Self, f64); 4] = [
        (Self::Calm, 0.0),
        (Self::Thin, 0.8),
        (Self::Refuse, 0.9),
        (Self::Shed, 1.0),
    ];
    /// How far below its beginning the pressure must be for a level to end.
    const MARGIN: f64 = 0.1;

    /// The stable name, for metrics and health.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Thin => "thin",
            Self::Refuse => "refuse",
            Self::Shed => "shed",
        }
    }

    /// The level at which `pressure` puts a process, given what each level's
    /// beginning is lowered by.
    fn of(pressure: f64, lowered_by: f64) -> Self {
        Self::STEPS
            .into_iter()
            .rev()
            .find(|(_, from)| pressure >= from - lowered_by)
            .map_or(Self::Calm, |(level, _)| level)
    }

    fn below(self) -> Self {
        match self {
            Self::Calm | Self::Thin => Self::Calm,
            Self::Refuse => Self::Thin,
            Self::Shed => Self::Refuse,
        }
    }
}

/// Turns samples into a level. Reading the level takes no lock.
pub struct Pressure {
    config: PressureConfig,
    clock: SharedClock,
    level: AtomicU8,
    /// Since when the pressure has been lower than the level, if it is.
    lower_since: Mutex<Option<Duration>>,
}

impl Pressure {
    /// Calm until the first sample.
    #[must_use]
    pub fn new(config: PressureConfig, clock: SharedClock) -> Self {
        Self {
            config,
            clock,
            level: AtomicU8::new(Level::Calm as u8),
            lower_since: Mutex::new(None),
        }
    }

    /// Takes a sample; call it about once a second. Tells the level before and
    /// after, which differ when something is to be done or undone.
    pub fn observe(&self, sample: &Sample) -> (Level, Level) {
        let mut lower_since = lock(&self.lower_since);
        let before = self.level();
        let pressure = self.pressure(sample);
        let rises_to = Level::of(pressure, 0.0);
        let falls_to = Level::of(pressure, Level::MARGIN);
        let after = if rises_to > before {
            *lower_since = None;
            rises_to
        } else if falls_to >= before {
            *lower_since = None;
            before
        } else {
            let now = self.clock.now();
            let since = *lower_since.get_or_insert(now);
            let calm = Duration::from_secs(self.config.calm_seconds);
            if now.saturating_sub(since) >= calm {
                // The next step down has to be earned anew.
                *lower_since = Some(now);
                before.below()
            } else {
                before
            }
        };
        self.level.store(after as u8, Ordering::Release);
        (before, after)
    }

    /// The level now.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.level.load(Ordering::Acquire) {
            0 => Level::Calm,
            1 => Level::Thin,
            2 => Level::Refuse,
            _ => Level::Shed,
        }
    }

    /// The worst signal as a part of its limit.
    fn pressure(&self, sample: &Sample) -> f64 {
        let config = &self.config;
        let lag = sample.lag.as_secs_f64() * 1000.0;
        [
            (sample.memory_bytes as f64, config.memory_bytes as f64),
            (lag, config.lag_millis as f64),
            (sample.queue_bytes as f64, config.queue_bytes as f64),
            (f64::from(sample.cpu_percent), f64::from(config.cpu_percent)),
        ]
        .into_iter()
        .map(|(value, limit)| if limit > 0.0 { value / limit } else { 0.0 })
        .fold(0.0, f64::max)
    }
}

impl fmt::Debug for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pressure")
            .field("level", &self.level())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_resilience::ManualClock;
    use proptest::prelude::*;

    fn monitor() -> (Pressure, ManualClock) {
        let clock = ManualClock::new();
        let config = PressureConfig {
            memory_bytes: 1000,
            ..PressureConfig::default()
        };
        (Pressure::new(config, clock.shared()), clock)
    }

    fn memory(memory_bytes: u64) -> Sample {
        Sample {
            memory_bytes,
            ..Sample::default()
        }
    }

    #[test]
    fn it_rises_at_once_and_as_far_as_it_must() {
        let (pressure, _clock) = monitor();
        assert_eq!(pressure.observe(&memory(799)), (Level::Calm, Level::Calm));
        assert_eq!(pressure.observe(&memory(800)), (Level::Calm, Level::Thin));
        assert_eq!(pressure.observe(&memory(1000)), (Level::Thin, Level::Shed));
    }

    #[test]
    fn it_falls_step_by_step_after_a_while_and_by_itself() {
        let (pressure, clock) = monitor();
        pressure.observe(&memory(1000));
        let mut levels = Vec::new();
        for _ in 0..35 {
            clock.advance(Duration::from_secs(1));
            levels.push(pressure.observe(&memory(0)).1);
        }
        let count = |level| levels.iter().filter(|l| **l == level).count();
        assert_eq!(
            [Level::Shed, Level::Refuse, Level::Thin, Level::Calm].map(count),
            [10, 10, 10, 5]
        );
    }

    #[test]
    fn a_pressure_near_the_border_does_not_make_it_swing() {
        let (pressure, clock) = monitor();
        pressure.observe(&memory(900));
        for second in 0..100 {
            clock.advance(Duration::from_secs(1));
            let wavering = if second % 2 == 0 { 810 } else { 899 };
            let (before, after) = pressure.observe(&memory(wavering));
            assert_eq!((before, after), (Level::Refuse, Level::Refuse));
        }
    }

    #[test]
    fn a_relapse_starts_the_wait_again() {
        let (pressure, clock) = monitor();
        pressure.observe(&memory(800));
        for sample in [0, 0, 0, 0, 0, 0, 0, 0, 0, 750, 0, 0] {
            clock.advance(Duration::from_secs(1));
            assert_eq!(pressure.observe(&memory(sample)).1, Level::Thin);
        }
    }

    #[test]
    fn every_signal_counts() {
        for sample in [
            Sample {
                lag: Duration::from_millis(250),
                ..Sample::default()
            },
            Sample {
                queue_bytes: 128 << 20,
                ..Sample::default()
            },
            Sample {
                cpu_percent: 95,
                ..Sample::default()
            },
        ] {
            let (pressure, _clock) = monitor();
            assert_eq!(pressure.observe(&sample).1, Level::Shed, "{sample:?}");
        }
    }

    proptest! {
        #[test]
        fn it_never_stays_below_what_the_pressure_demands(samples in prop::collection::vec(0..1500_u64, 1..50)) {
            let (pressure, clock) = monitor();
            for sample in samples {
                clock.advance(Duration::from_secs(3));
                let (before, after) = pressure.observe(&memory(sample));
                prop_assert!(after >= Level::of(sample as f64 / 1000.0, 0.0));
                prop_assert!(after >= before.below(), "one step at a time");
            }
        }
    }
}
