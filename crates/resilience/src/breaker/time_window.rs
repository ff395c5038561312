//! The results of the last while, by time.

use std::time::Duration;

use crate::{
    sliding::{SlidingWindow, Sums},
    sync::{AtomicBool, Ordering},
};

/// The sums of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

impl From<Sums> for Totals {
    fn from([calls, failures, slow]: Sums) -> Self {
        Self {
            calls,
            failures,
            slow,
        }
    }
}

#[derive(Debug)]
pub(super) struct TimeWindow {
    counts: SlidingWindow,
    /// Set while a success may complete the minimum of calls in a window that
    /// holds failures, so that successes must look at the sums too.
    eager: AtomicBool,
}

/// A result to be recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) now: Duration,
    pub(super) failed: bool,
    pub(super) slow: bool,
}

impl TimeWindow {
    pub(super) fn new() -> Self {
        Self {
            counts: SlidingWindow::new(),
            eager: AtomicBool::new(false),
        }
    }

    /// Records a result. Answers the sums when they may have become bad enough:
    /// after a failure or a slow call, after the first result of a cell, and
    /// while there are fewer than `min_calls`. In between a success only makes
    /// the shares smaller.
    pub(super) fn record(
        &self,
        generation: u64,
        width: u64,
        min_calls: u64,
        Sample { now, failed, slow }: Sample,
    ) -> Option<Totals> {
        let recorded = self
            .counts
            .record(generation, now, width, [true, failed, slow])?;
        if !(failed || slow || recorded.rolled || self.eager.load(Ordering::Relaxed)) {
            return None;
        }
        let totals = Totals::from(self.counts.sums_at(generation, recorded.epoch));
        let eager = totals.failures + totals.slow > 0 && totals.calls < min_calls;
        self.eager.store(eager, Ordering::Relaxed);
        Some(totals)
    }

    /// The sums as of `now`.
    pub(super) fn totals(&self, generation: u64, now: Duration, width: u64) -> Totals {
        self.counts.sums(generation, now, width).into()
    }

    /// Empties the window for a new generation. With `restart` the cells have
    /// another width.
    pub(super) fn clear(&self, generation: u64, restart: bool) {
        self.eager.store(false, Ordering::Relaxed);
        self.counts.clear(generation, restart);
    }
}
