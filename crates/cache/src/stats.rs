//! A snapshot for health pages and gauges.

use std::{sync::atomic::Ordering, time::Duration};

use serde::Serialize;

use crate::{cache::Inner, counters::TierCounters, observer::TierState};

/// What the cache has done since it was built, and how it is now.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The memory tier.
    pub hot: TierStats,
    /// The disk tier, if there is one.
    pub warm: Option<TierStats>,
    /// The shared tier, if there is one.
    pub shared: Option<TierStats>,
    /// Requests that a tier answered, stale answers included.
    pub hits: u64,
    /// Requests that no tier could answer.
    pub misses: u64,
    /// The share of hits over the last minutes; `None` when nothing was asked.
    pub hit_rate: Option<f64>,
    /// Times that a loader ran.
    pub loads: u64,
    /// Times that it failed, took too long or panicked.
    pub load_failures: u64,
    /// Loads that nobody waited for.
    pub background_loads: u64,
    /// Callers that waited for somebody else's load.
    pub followers: u64,
    /// Loads under way.
    pub loading: usize,
    /// Values served past their freshness.
    pub stale_served: u64,
}

/// What a tier has done, and how it is.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TierStats {
    /// How it is, in one word.
    pub state: &'static str,
    /// Whether it is in use.
    pub up: bool,
    /// When a tier that is out of use is tried again.
    pub retry_after: Option<Duration>,
    /// Fresh entries found.
    pub hits: u64,
    /// Entries found past their freshness.
    pub stale: u64,
    /// Looks that found nothing of use.
    pub misses: u64,
    /// Failures, time limits included.
    pub errors: u64,
    /// Entries that were cut off, flipped or not authentic.
    pub damaged: u64,
    /// Entries that made room for others; counted in the memory tier.
    pub evictions: u64,
    /// Entries written.
    pub writes: u64,
    /// Entries not written because the tier could not take them.
    pub dropped: u64,
    /// Bytes in use in the memory tier; bytes written in the disk tier.
    pub bytes: u64,
    /// Entries in the memory tier.
    pub entries: Option<u64>,
    /// Bytes that it may have.
    pub capacity: Option<u64>,
}

impl TierStats {
    fn of(state: TierState, counters: &TierCounters) -> Self {
        Self {
            state: state.as_str(),
            up: state == TierState::Up,
            retry_after: None,
            hits: counters.hits(),
            stale: counters.stale(),
            misses: counters.misses(),
            errors: counters.errors(),
            damaged: counters.damaged(),
            evictions: counters.evictions.load(Ordering::Relaxed),
            writes: counters.writes.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
            bytes: 0,
            entries: None,
            capacity: None,
        }
    }
}

impl Stats {
    pub(crate) fn of(inner: &Inner) -> Self {
        let hot = TierStats {
            bytes: inner.hot.bytes() as u64,
            entries: Some(inner.hot.entries() as u64),
            capacity: Some(inner.hot.capacity() as u64),
            ..TierStats::of(TierState::Up, &inner.hot.counters)
        };
        let warm = inner.warm.as_ref().map(|warm| TierStats {
            bytes: warm.bytes_written(),
            capacity: Some(warm.configured() as u64),
            retry_after: warm.retry_after(),
            ..TierStats::of(warm.state(), &warm.counters)
        });
        let shared = inner
            .shared
            .as_ref()
            .map(|shared| TierStats::of(shared.state(), shared.counters()));
        Self {
            hot,
            warm,
            shared,
            hits: inner.counts.hits.get(),
            misses: inner.counts.misses.get(),
            hit_rate: inner.sample(),
            loads: inner.counts.loads.load(Ordering::Relaxed),
            load_failures: inner.counts.load_failures.load(Ordering::Relaxed),
            background_loads: inner.counts.background_loads.load(Ordering::Relaxed),
            followers: inner.flights.followed.load(Ordering::Relaxed),
            loading: inner.flights.len(),
            stale_served: inner.counts.stale_served.load(Ordering::Relaxed),
        }
    }
}
