//! How much is allowed.

use std::time::Duration;

use crate::{ConfigError, error::check, sync::nanos};

/// So many calls in a period, of which a burst may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Quota {
    period: Duration,
    calls: u32,
    burst: u32,
}

impl Quota {
    /// `calls` in each `period`, all of which may come at once.
    pub const fn per(period: Duration, calls: u32) -> Self {
        Self {
            period,
            calls,
            burst: calls,
        }
    }

    /// Allows `burst` calls at once instead of a whole period's, and then the
    /// same rate as before.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// Checks the numbers; limiters do so when they are built.
    ///
    /// # Errors
    /// When one of them is zero, when the period exceeds a year, or when calls
    /// would come closer together than a nanosecond.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::positive("period", self.period)?;
        if self.period > Duration::from_secs(366 * 86_400) {
            return Err(ConfigError::new("period", "must be at most a year"));
        }
        check::at_least_one("calls", self.calls.into())?;
        check::at_least_one("burst", self.burst.into())?;
        if nanos(self.period) < u64::from(self.calls) {
            return Err(ConfigError::new(
                "calls",
                "must be at most one in a nanosecond",
            ));
        }
        Ok(())
    }

    /// The period.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// The calls in each period.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// The calls that may come at once.
    pub fn burst_size(&self) -> u32 {
        self.burst
    }

    /// Nanoseconds between two calls at the steady rate.
    pub(super) fn interval(&self) -> u64 {
        (nanos(self.period) / u64::from(self.calls.max(1))).max(1)
    }

    /// Nanoseconds that a burst takes up.
    pub(super) fn capacity(&self) -> u64 {
        self.interval().saturating_mul(self.burst.into())
    }
}
