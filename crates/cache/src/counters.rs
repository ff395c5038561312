//! Counting without slowing the counted down.

use std::{
    cell::Cell,
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::observer::Lookup;

const STRIPES: usize = 16;

/// A counter that threads do not fight over: each has its own cache line.
#[derive(Debug, Default)]
pub(crate) struct Striped {
    stripes: [Line; STRIPES],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU64);

fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        mine.get()
    })
}

impl Striped {
    pub(crate) fn add(&self) {
        self.stripes[stripe()].0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.stripes
            .iter()
            .map(|line| line.0.load(Ordering::Relaxed))
            .sum()
    }
}

/// What a tier did.
#[derive(Debug, Default)]
pub(crate) struct TierCounters {
    hits: Striped,
    stale: AtomicU64,
    misses: Striped,
    errors: AtomicU64,
    damaged: AtomicU64,
    pub(crate) evictions: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) writes: AtomicU64,
}

impl TierCounters {
    pub(crate) fn looked(&self, result: Lookup) {
        match result {
            Lookup::Hit => self.hits.add(),
            Lookup::Miss => self.misses.add(),
            Lookup::Stale => count(&self.stale),
            Lookup::Error => count(&self.errors),
            Lookup::Damaged => count(&self.damaged),
        }
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.get()
    }

    pub(crate) fn stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    pub(crate) fn misses(&self) -> u64 {
        self.misses.get()
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) {
        count(&self.errors);
    }

    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The share of hits over the last while, from samples of running totals.
#[derive(Debug)]
pub(crate) struct HitWindow {
    length: Duration,
    samples: Mutex<VecDeque<Sample>>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    hits: u64,
    lookups: u64,
}

impl HitWindow {
    pub(crate) fn new(length: Duration) -> Self {
        let start = Sample {
            at: Duration::ZERO,
            hits: 0,
            lookups: 0,
        };
        Self {
            length,
            samples: Mutex::new(VecDeque::from([start])),
        }
    }

    /// Takes a sample and tells the share of hits since the oldest one within
    /// the window; `None` when nothing was looked up.
    pub(crate) fn rate(&self, now: Duration, hits: u64, lookups: u64) -> Option<f64> {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        // Sixty samples to a window are fine enough for a gauge.
        let spacing = self.length / 60;
        if samples.back().is_none_or(|last| now >= last.at + spacing) {
            samples.push_back(Sample {
                at: now,
                hits,
                lookups,
            });
        }
        let start = now.saturating_sub(self.length);
        // The youngest sample that is at least a window old is the base.
        while samples.len() > 1 && samples.get(1).is_some_and(|second| second.at <= start) {
            samples.pop_front();
        }
        let base = samples.front()?;
        let lookups = lookups.saturating_sub(base.lookups);
        let hits = hits.saturating_sub(base.hits);
        (lookups > 0).then(|| hits as f64 / lookups as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_forgets_what_is_older_than_the_window() {
        let window = HitWindow::new(Duration::from_secs(60));
        let at = Duration::from_secs;
        assert_eq!(window.rate(at(0), 0, 0), None);
        assert_eq!(window.rate(at(10), 90, 100), Some(0.9));
        assert_eq!(window.rate(at(50), 90, 200), Some(0.45));
        assert_eq!(window.rate(at(90), 90, 200), Some(0.0));
        assert_eq!(window.rate(at(300), 90, 200), None);
        assert_eq!(window.rate(at(301), 91, 201), Some(1.0));
    }

    #[test]
    fn striped_counters_lose_nothing() {
        let counter = std::sync::Arc::new(Striped::default());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| counter.add()));
            }
        });
        assert_eq!(counter.get(), 8000);
    }
}
