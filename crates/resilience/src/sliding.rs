//! Counts over the last while, in ten cells for each shard of threads.
//!
//! A word of a cell carries a tag (generation and epoch) beside its count, so
//! that a word whose time is over is recognised and overwritten where it
//! stands: nothing is swept, and a late result of an older generation can
//! never be counted in a newer one. The cost of a call does not depend on how
//! many results the window holds.

use std::time::Duration;

use crate::sync::{AtomicU64, Ordering, nanos, shard_of_thread, shards};

const CELLS: usize = 10;

/// Three sums over the window; its owner says what they count.
pub(crate) type Sums = [u64; 3];

/// Which of the three sums a result adds one to.
pub(crate) type Adds = [bool; 3];

/// Where a result went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    /// The epoch of the cell.
    pub(crate) epoch: u64,
    /// Whether the result is the first of a new cell, so that an old one has
    /// left the window.
    pub(crate) rolled: bool,
}

#[derive(Debug)]
pub(crate) struct SlidingWindow {
    /// The epoch that results go to now, below the generation that it belongs
    /// to: epochs of different generations may be of different widths. It never
    /// moves back within one, whatever the clock does.
    epoch: AtomicU64,
    shards: Box<[Shard]>,
}

/// Two cache lines apart, because processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    cells: [Cell; CELLS],
}

#[derive(Debug, Default)]
struct Cell([AtomicU64; 3]);

/// A numbered span of time, one cell wide.
#[derive(Clone, Copy)]
struct Epoch {
    /// The low 8 bits of the generation.
    generation: u64,
    number: u64,
}

impl Epoch {
    const NUMBER: u64 = (1 << 56) - 1;

    fn new(generation: u64, number: u64) -> Self {
        Self {
            generation: generation & 0xff,
            number: number.min(Self::NUMBER),
        }
    }

    fn pack(self) -> u64 {
        (self.generation << 56) | self.number
    }

    fn unpack(word: u64) -> Self {
        Self {
            generation: word >> 56,
            number: word & Self::NUMBER,
        }
    }
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

impl SlidingWindow {
    pub(crate) fn new() -> Self {
        Self {
            epoch: AtomicU64::new(0),
            shards: (0..shards()).map(|_| Shard::default()).collect(),
        }
    }

    /// The width of a cell of a window of this length, in nanoseconds.
    pub(crate) fn cell_width(length: Duration) -> u64 {
        (nanos(length) / CELLS as u64).max(1)
    }

    /// Adds a result at `now`, unless it is of an older generation.
    pub(crate) fn record(
        &self,
        generation: u64,
        now: Duration,
        width: u64,
        adds: Adds,
    ) -> Option<Recorded> {
        let recorded = self.advance(generation, now, width)?;
        let tag = Tag::new(generation, recorded.epoch);
        let Cell(words) = self
            .shards
            .get(shard_of_thread(self.shards.len()))?
            .cells
            .get((recorded.epoch % CELLS as u64) as usize)?;
        for (word, add) in words.iter().zip(adds) {
            if add {
                bump(word, tag);
            }
        }
        Some(recorded)
    }

    /// Moves on to the epoch of `now`, which costs a division once in a cell.
    fn advance(&self, generation: u64, now: Duration, width: u64) -> Option<Recorded> {
        let width = width.max(1);
        let now = nanos(now);
        let mut seen = self.epoch.load(Ordering::Relaxed);
        loop {
            let epoch = Epoch::unpack(seen);
            if epoch.generation != generation & 0xff {
                return None;
            }
            let epoch = epoch.number;
            if now < epoch.saturating_add(1).saturating_mul(width) {
                return Some(Recorded {
                    epoch,
                    rolled: false,
                });
            }
            let next = Epoch::new(generation, now / width);
            match self.epoch.compare_exchange_weak(
                seen,
                next.pack(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    return Some(Recorded {
                        epoch: next.number,
                        rolled: true,
                    });
                }
                Err(other) => seen = other,
            }
        }
    }

    /// The sums as of `now`.
    pub(crate) fn sums(&self, generation: u64, now: Duration, width: u64) -> Sums {
        let epoch = Epoch::unpack(self.epoch.load(Ordering::Relaxed)).number;
        self.sums_at(generation, epoch.max(nanos(now) / width.max(1)))
    }

    /// The sums as of `epoch`.
    pub(crate) fn sums_at(&self, generation: u64, epoch: u64) -> Sums {
        let newest = Tag::new(generation, epoch);
        let mut sums = Sums::default();
        for Cell(words) in self.shards.iter().flat_map(|shard| &shard.cells) {
            for (sum, word) in sums.iter_mut().zip(words) {
                let word = word.load(Ordering::Relaxed);
                let tag = Tag::of(word);
                let age = newest.0.wrapping_sub(tag.0) & 0xff_ffff;
                if tag.same_generation(newest) && age < CELLS as u64 {
                    *sum += count(word);
                }
            }
        }
        sums
    }

    /// Empties the window for a new generation. With `restart` the epochs
    /// begin anew as well, for cells of another width.
    pub(crate) fn clear(&self, generation: u64, restart: bool) {
        let number = match restart {
            true => 0,
            false => Epoch::unpack(self.epoch.load(Ordering::Relaxed)).number,
        };
        // Swaps, so that they are ordered after what others have added.
        let epoch = Epoch::new(generation, number);
        self.epoch.swap(epoch.pack(), Ordering::Relaxed);
        let empty = Tag::new(generation, number).empty_word();
        for Cell(words) in self.shards.iter().flat_map(|shard| &shard.cells) {
            for word in words {
                word.swap(empty, Ordering::Relaxed);
            }
        }
    }
}
