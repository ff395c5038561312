//! The settings that every call needs, read without a lock.

use crate::{
    breaker::{
        builder::{BreakerConfig, Trip},
        time_window::Totals,
    },
    sliding::SlidingWindow,
    sync::nanos,
};

/// The settings that every call needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hot {
    pub(super) kind: Kind,
    /// Failures in a row, or the width of a time cell in nanoseconds.
    pub(super) number: u64,
    pub(super) min_calls: u64,
    /// Nanoseconds from which a call is slow; `u64::MAX` when nobody measures.
    pub(super) slow: u64,
    pub(super) failure_rate: f64,
    pub(super) slow_rate: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Consecutive,
    Count,
    Time,
}

impl Kind {
    fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Consecutive,
            1 => Self::Count,
            _ => Self::Time,
        }
    }
}

impl Hot {
    pub(super) fn of(config: &BreakerConfig) -> Self {
        let (kind, number) = match config.trip {
            Trip::Consecutive(failures) => (Kind::Consecutive, failures.into()),
            Trip::CountWindow { size, .. } => (Kind::Count, size.into()),
            Trip::TimeWindow { length, .. } => (Kind::Time, SlidingWindow::cell_width(length)),
        };
        Self {
            kind,
            number,
            min_calls: config.trip.min_calls().into(),
            slow: config.slow_call.map_or(u64::MAX, nanos),
            failure_rate: config.trip.failure_rate(),
            slow_rate: config.slow_call_rate,
        }
    }

    pub(super) fn pack(self) -> [u64; 6] {
        [
            self.kind as u64,
            self.number,
            self.min_calls,
            self.slow,
            self.failure_rate.to_bits(),
            self.slow_rate.to_bits(),
        ]
    }

    pub(super) fn unpack(
        [kind, number, min_calls, slow, failure_rate, slow_rate]: [u64; 6],
    ) -> Self {
        Self {
            kind: Kind::from_number(kind),
            number,
            min_calls,
            slow,
            failure_rate: f64::from_bits(failure_rate),
            slow_rate: f64::from_bits(slow_rate),
        }
    }

    /// Whether the results in a window are bad enough to open.
    pub(super) fn exceeded_by(&self, totals: Totals) -> bool {
        if totals.calls < self.min_calls.max(1) {
            return false;
        }
        let share = |part: u64| part as f64 / totals.calls as f64;
        (totals.failures > 0 && share(totals.failures) >= self.failure_rate)
            || (totals.slow > 0 && share(totals.slow) >= self.slow_rate)
    }
}

/// The kind of the breaker and whether calls are timed. A good call of a healthy
/// breaker needs no more than that. It is only ever used to leave out work, so
/// that it need not change in the same moment as the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) kind: Kind,
    pub(super) timed: bool,
}

impl Style {
    pub(super) fn of(config: &BreakerConfig) -> Self {
        Self {
            kind: Hot::of(config).kind,
            timed: config.slow_call.is_some(),
        }
    }

    pub(super) fn pack(self) -> u32 {
        ((self.kind as u32) << 1) | u32::from(self.timed)
    }

    pub(super) fn unpack(word: u32) -> Self {
        Self {
            kind: Kind::from_number(u64::from(word >> 1)),
            timed: word & 1 == 1,
        }
    }
}
