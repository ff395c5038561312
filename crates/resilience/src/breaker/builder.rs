//! The settings of a breaker.

use std::time::Duration;

use super::{CircuitBreaker, machine::Machine};
use crate::{
    ConfigError, Name, SharedClock, clock,
    error::check,
    observer::{SharedObserver, Watch},
};

/// What makes a breaker open.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Trip {
    /// So many failures in a row.
    Consecutive(u32),
    /// The share of failures among the last `size` results.
    #[non_exhaustive]
    CountWindow {
        /// Results that are remembered; at most 1,000,000.
        size: u32,
        /// The share of failures that opens the breaker, above 0 and at most 1.
        failure_rate: f64,
        /// Results before which the share means nothing; at most `size`.
        min_calls: u32,
    },
    /// The share of failures among the results of the last `length`.
    #[non_exhaustive]
    TimeWindow {
        /// How long a result counts, within a tenth; from 10 ms to 24 h.
        #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
        length: Duration,
        /// The share of failures that opens the breaker, above 0 and at most 1.
        failure_rate: f64,
        /// Results before which the share means nothing.
        min_calls: u32,
    },
}

impl Trip {
    /// After so many failures in a row.
    pub fn consecutive(failures: u32) -> Self {
        Self::Consecutive(failures)
    }

    /// When `failure_rate` of the last `size` results are failures, once there
    /// are `min_calls` of them.
    pub fn count_window(size: u32, failure_rate: f64, min_calls: u32) -> Self {
        Self::CountWindow {
            size,
            failure_rate,
            min_calls,
        }
    }

    /// When `failure_rate` of the results of the last `length` are failures,
    /// once there are `min_calls` of them.
    pub fn time_window(length: Duration, failure_rate: f64, min_calls: u32) -> Self {
        Self::TimeWindow {
            length,
            failure_rate,
            min_calls,
        }
    }

    pub(super) fn min_calls(&self) -> u32 {
        match self {
            Self::Consecutive(_) => 0,
            Self::CountWindow { min_calls, .. } | Self::TimeWindow { min_calls, .. } => *min_calls,
        }
    }

    /// The share of failures that opens; zero means that any failure does.
    pub(super) fn failure_rate(&self) -> f64 {
        match self {
            Self::Consecutive(_) => 0.0,
            Self::CountWindow { failure_rate, .. } | Self::TimeWindow { failure_rate, .. } => {
                *failure_rate
            }
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        match *self {
            Self::Consecutive(failures) => {
                check::at_least_one("consecutive_failures", failures.into())
            }
            Self::CountWindow {
                size,
                failure_rate,
                min_calls,
            } => {
                check::at_least_one("size", size.into())?;
                if size > 1_000_000 {
                    return Err(ConfigError::new("size", "must be at most 1,000,000"));
                }
                check::rate("failure_rate", failure_rate)?;
                check::at_least_one("min_calls", min_calls.into())?;
                if min_calls > size {
                    return Err(ConfigError::new("min_calls", "must be at most the size"));
                }
                Ok(())
            }
            Self::TimeWindow {
                length,
                failure_rate,
                min_calls,
            } => {
                if length < Duration::from_millis(10) || length > Duration::from_secs(86_400) {
                    return Err(ConfigError::new("length", "must be from 10 ms to 24 h"));
                }
                check::rate("failure_rate", failure_rate)?;
                check::at_least_one("min_calls", min_calls.into())
            }
        }
    }
}

/// The settings of a breaker, as they are reloaded while it runs.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct BreakerConfig {
    /// What makes it open. Default: 5 failures in a row.
    pub trip: Trip,
    /// A call this slow or slower counts as slow. Default: nobody measures.
    /// Needs a window.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration::optional"))]
    pub slow_call: Option<Duration>,
    /// The share of slow calls in the window that opens the breaker. Default: 1.
    pub slow_call_rate: f64,
    /// How long the breaker stays open at first. Default: 60 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub open_for: Duration,
    /// The open time grows by this factor with every trip that follows a
    /// failed recovery. Default: 2.
    pub open_factor: f64,
    /// The longest open time. Default: 10 min, or `open_for` if that is longer.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub max_open_for: Duration,
    /// Probes that a half-open breaker admits, and that must have answered
    /// before it closes; at most 1,024. Default: 1.
    pub half_open_probes: u32,
    /// A probe that took longer loses its slot to the next caller. Default: 30 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub probe_timeout: Duration,
    /// After closing, the share of admitted calls grows from a tenth to all of
    /// them within this time. Default: zero, that is all at once.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub ramp: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            trip: Trip::Consecutive(5),
            slow_call: None,
            slow_call_rate: 1.0,
            open_for: Duration::from_secs(60),
            open_factor: 2.0,
            max_open_for: Duration::from_secs(600),
            half_open_probes: 1,
            probe_timeout: Duration::from_secs(30),
            ramp: Duration::ZERO,
        }
    }
}

impl BreakerConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.trip.validate()?;
        if let Some(slow) = self.slow_call {
            check::positive("slow_call", slow)?;
            if matches!(self.trip, Trip::Consecutive(_)) {
                return Err(ConfigError::new(
                    "slow_call",
                    "needs a count window or a time window",
                ));
            }
        }
        check::rate("slow_call_rate", self.slow_call_rate)?;
        check::positive("open_for", self.open_for)?;
        check::finite_at_least(
            "open_factor",
            self.open_factor,
            1.0,
            "must be a number of at least 1",
        )?;
        check::at_least_one("half_open_probes", self.half_open_probes.into())?;
        if self.half_open_probes > 1024 {
            return Err(ConfigError::new(
                "half_open_probes",
                "must be at most 1,024",
            ));
        }
        check::positive("probe_timeout", self.probe_timeout)
    }

    /// The open time of the `trips`-th trip in a row, counted from 1.
    pub(super) fn open_time(&self, trips: u32) -> Duration {
        let longest = self.max_open_for.max(self.open_for);
        let exponent = f64::from(trips.saturating_sub(1));
        let seconds = self.open_for.as_secs_f64() * self.open_factor.powf(exponent);
        // A product out of a duration's range is longer than the longest.
        Duration::try_from_secs_f64(seconds).map_or(longest, |time| time.min(longest))
    }
}

/// Describes a [`CircuitBreaker`]; every setting is explained at
/// [`BreakerConfig`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build"]
pub struct CircuitBreakerBuilder {
    name: Name,
    config: BreakerConfig,
    observer: Watch,
    clock: Option<SharedClock>,
}

impl CircuitBreakerBuilder {
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            config: BreakerConfig::default(),
            observer: Watch::default(),
            clock: None,
        }
    }

    /// Takes all settings from `config`.
    pub fn config(mut self, config: BreakerConfig) -> Self {
        self.config = config;
        self
    }

    /// Opens after so many failures in a row. Any success starts over.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.config.trip = Trip::consecutive(failures);
        self
    }

    /// Opens when `failure_rate` of the last `size` results are failures, once
    /// there are `min_calls` of them.
    pub fn count_window(mut self, size: u32, failure_rate: f64, min_calls: u32) -> Self {
        self.config.trip = Trip::count_window(size, failure_rate, min_calls);
        self
    }

    /// Opens when `failure_rate` of the results of the last `length` are
    /// failures, once there are `min_calls` of them.
    pub fn time_window(mut self, length: Duration, failure_rate: f64, min_calls: u32) -> Self {
        self.config.trip = Trip::time_window(length, failure_rate, min_calls);
        self
    }

    /// Opens also when `rate` of the calls in the window took `slow` or longer.
    pub fn slow_calls(mut self, slow: Duration, rate: f64) -> Self {
        self.config.slow_call = Some(slow);
        self.config.slow_call_rate = rate;
        self
    }

    /// Stays open for this long at first.
    pub fn open_for(mut self, open_for: Duration) -> Self {
        self.config.open_for = open_for;
        self
    }

    /// Multiplies the open time by `factor` with every trip that follows a
    /// failed recovery, up to `longest`.
    pub fn open_backoff(mut self, factor: f64, longest: Duration) -> Self {
        self.config.open_factor = factor;
        self.config.max_open_for = longest;
        self
    }

    /// Admits so many probes when half-open, and closes once they have
    /// answered well.
    pub fn half_open_probes(mut self, probes: u32) -> Self {
        self.config.half_open_probes = probes;
        self
    }

    /// Gives the slot of a probe that took longer to the next caller.
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.config.probe_timeout = timeout;
        self
    }

    /// Admits a share that grows from a tenth to all calls within `ramp` after
    /// closing.
    pub fn ramp(mut self, ramp: Duration) -> Self {
        self.config.ramp = ramp;
        self
    }

    /// Tells `observer` what happens.
    pub fn observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// Reads the time from `clock`. Default: [`default_clock`](crate::default_clock).
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The breaker, closed.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        self.config.validate()?;
        let clock = self.clock.unwrap_or_else(clock::default_clock);
        Ok(CircuitBreaker::from_machine(Machine::new(
            self.name,
            self.config,
            clock,
            self.observer,
        )))
    }
}
