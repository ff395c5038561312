//! The results of the last while, in ten cells for each shard of threads.
//!
//! A word of a cell carries a tag (generation and epoch) beside its count, so
//! that a word whose time is over is recognised and overwritten where it
//! stands: nothing is swept, and a late result of an older generation can
//! never be counted in a newer one. The cost of a call does not depend on how
//! many results the window holds.

use std::time::Duration;

use crate::sync::{AtomicBool, AtomicU64, Ordering, nanos, shard_of_thread, shards};

const CELLS: usize = 10;

/// The sums of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

#[derive(Debug)]
pub(super) struct TimeWindow {
    /// The epoch that results go to now. It never moves back, whatever the
    /// clock does.
    epoch: AtomicU64,
    /// Set while a success may complete the minimum of calls in a window that
    /// holds failures, so that successes must look at the sums too.
    eager: AtomicBool,
    shards: Box<[Shard]>,
}

/// Two cache lines apart, because processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    cells: [Cell; CELLS],
}

#[derive(Debug, Default)]
struct Cell {
    calls: AtomicU64,
    failures: AtomicU64,
    slow: AtomicU64,
}

/// What a word counts: the generation (8 bits) and the epoch (24 bits) above a
/// count of 32 bits.
#[derive(Clone, Copy)]
struct Tag(u64);

impl Tag {
    fn new(generation: u64, epoch: u64) -> Self {
        Self(((generation & 0xff) << 24) | (epoch & 0xff_ffff))
    }

    fn of(word: u64) -> Self {
        Self(word >> 32)
    }

    fn empty_word(self) -> u64 {
        self.0 << 32
    }

    /// Whether this generation comes after `other`. Both wrap, and every word
    /// is rewritten with each generation, so that they are never far apart.
    fn newer_generation_than(self, other: Self) -> bool {
        let distance = (self.0 >> 24).wrapping_sub(other.0 >> 24) & 0xff;
        distance != 0 && distance < 0x80
    }

    fn newer_epoch_than(self, other: Self) -> bool {
        let distance = self.0.wrapping_sub(other.0) & 0xff_ffff;
        distance != 0 && distance < 0x80_0000
    }

    fn same_generation(self, other: Self) -> bool {
        self.0 >> 24 == other.0 >> 24
    }
}

fn count(word: u64) -> u64 {
    word & 0xffff_ffff
}

/// Adds one to `word` under `tag`.
fn bump(word: &AtomicU64, tag: Tag) {
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        let held = Tag::of(seen);
        let next = if held.0 == tag.0 {
            if count(seen) == 0xffff_ffff {
                return;
            }
            seen + 1
        } else if held.newer_generation_than(tag) {
            // The breaker changed its state since: this result is stale.
            return;
        } else if held.same_generation(tag) && held.newer_epoch_than(tag) {
            // Another thread has moved on already; the result is as new.
            seen + 1
        } else {
            tag.empty_word() | 1
        };
        match word.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

impl TimeWindow {
    pub(super) fn new() -> Self {
        Self {
            epoch: AtomicU64::new(0),
            eager: AtomicBool::new(false),
            shards: (0..shards()).map(|_| Shard::default()).collect(),
        }
    }

    /// The width of a cell of a window of this length.
    pub(super) fn cell_width(length: Duration) -> u64 {
        (nanos(length) / CELLS as u64).max(1)
    }

    /// Records a result. Answers the sums when they may have become bad enough:
    /// after a failure or a slow call, after the first result of a cell, and
    /// while there are fewer than `min_calls`. In between a success only makes
    /// the shares smaller.
    pub(super) fn record(
        &self,
        generation: u64,
        now: Duration,
        width: u64,
        min_calls: u64,
        failed: bool,
        slow: bool,
    ) -> Option<Totals> {
        let width = width.max(1);
        let now = nanos(now);
        let mut epoch = self.epoch.load(Ordering::Relaxed);
        let mut rolled = false;
        if now >= epoch.saturating_add(1).saturating_mul(width) {
            let current = now / width;
            let before = self.epoch.fetch_max(current, Ordering::Relaxed);
            rolled = before < current;
            epoch = before.max(current);
        }
        let tag = Tag::new(generation, epoch);
        let shard = shard_of_thread(self.shards.len());
        let cell = self
            .shards
            .get(shard)
            .and_then(|shard| shard.cells.get((epoch % CELLS as u64) as usize))?;
        bump(&cell.calls, tag);
        if failed {
            bump(&cell.failures, tag);
        }
        if slow {
            bump(&cell.slow, tag);
        }
        if failed || slow || rolled || self.eager.load(Ordering::Relaxed) {
            let totals = self.totals_at(generation, epoch);
            let eager = totals.failures + totals.slow > 0 && totals.calls < min_calls;
            self.eager.store(eager, Ordering::Relaxed);
            return Some(totals);
        }
        None
    }

    /// The sums as of `now`.
    pub(super) fn totals(&self, generation: u64, now: Duration, width: u64) -> Totals {
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.totals_at(generation, epoch.max(nanos(now) / width.max(1)))
    }

    fn totals_at(&self, generation: u64, epoch: u64) -> Totals {
        let newest = Tag::new(generation, epoch);
        let current = |word: &AtomicU64| {
            let word = word.load(Ordering::Relaxed);
            let tag = Tag::of(word);
            let age = newest.0.wrapping_sub(tag.0) & 0xff_ffff;
            if tag.same_generation(newest) && age < CELLS as u64 {
                count(word)
            } else {
                0
            }
        };
        let mut totals = Totals::default();
        for cell in self.shards.iter().flat_map(|shard| &shard.cells) {
            totals.calls += current(&cell.calls);
            totals.failures += current(&cell.failures);
            totals.slow += current(&cell.slow);
        }
        totals
    }

    /// Empties the window for a new generation. With `restart` the epochs
    /// begin anew as well, for cells of another width.
    pub(super) fn clear(&self, generation: u64, restart: bool) {
        if restart {
            self.epoch.store(0, Ordering::Relaxed);
        }
        let empty = Tag::new(generation, self.epoch.load(Ordering::Relaxed)).empty_word();
        self.eager.store(false, Ordering::Relaxed);
        for cell in self.shards.iter().flat_map(|shard| &shard.cells) {
            cell.calls.store(empty, Ordering::Relaxed);
            cell.failures.store(empty, Ordering::Relaxed);
            cell.slow.store(empty, Ordering::Relaxed);
        }
    }
}
