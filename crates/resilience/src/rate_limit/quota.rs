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
}

/// A quota in the numbers that a check needs, computed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meter {
    /// Nanoseconds between two calls at the steady rate.
    pub(super) interval: u64,
    /// Nanoseconds that a burst takes up.
    pub(super) capacity: u64,
    /// Calls that may come at once.
    pub(super) burst: u64,
    /// 2^64 divided by the interval, rounded down: a division takes longer than
    /// all the rest of a check.
    reciprocal: u64,
}

impl Meter {
    pub(crate) fn of(quota: &Quota) -> Self {
        let interval = (nanos(quota.period) / u64::from(quota.calls.max(1))).max(1);
        Self {
            interval,
            capacity: interval.saturating_mul(quota.burst.into()),
            burst: quota.burst.into(),
            reciprocal: u64::MAX / interval,
        }
    }

    /// How many whole calls fit into so many nanoseconds.
    pub(super) fn calls_in(&self, nanoseconds: u64) -> u64 {
        let product = u128::from(nanoseconds) * u128::from(self.reciprocal);
        let about = (product >> 64) as u64;
        // The reciprocal is rounded down, and so the estimate is short by two at
        // most.
        let mut calls = about;
        for _ in 0..2 {
            let next = calls.saturating_add(1);
            if next
                .checked_mul(self.interval)
                .is_some_and(|taken| taken <= nanoseconds)
            {
                calls = next;
            }
        }
        calls
    }

    pub(super) fn pack(self) -> [u64; 4] {
        [self.interval, self.capacity, self.burst, self.reciprocal]
    }

    pub(super) fn unpack([interval, capacity, burst, reciprocal]: [u64; 4]) -> Self {
        Self {
            interval: interval.max(1),
            capacity,
            burst,
            reciprocal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reciprocal_divides_exactly() {
        let values = [
            0,
            1,
            2,
            3,
            7,
            10,
            999,
            1000,
            1001,
            1 << 32,
            (1 << 53) + 1,
            u64::MAX - 1,
            u64::MAX,
        ];
        for calls in [1, 3, 7, 1000, 1_000_000_000, u32::MAX] {
            for period in [
                Duration::from_secs(1),
                Duration::from_secs(3600),
                Duration::from_secs(31_536_000),
            ] {
                let meter = Meter::of(&Quota::per(period, calls));
                for value in values {
                    assert_eq!(
                        meter.calls_in(value),
                        value / meter.interval,
                        "{value} / {}",
                        meter.interval
                    );
                }
            }
        }
    }
}
