//! The last so many results, one bit each for failed and for slow.

use super::time_window::Totals;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

#[derive(Debug)]
pub(super) struct CountWindow {
    /// One more than the generation in which the window is full of good
    /// results, else zero. Another good result would change nothing then, so
    /// that a healthy breaker takes no lock.
    spotless: AtomicU64,
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    generation: u64,
    size: usize,
    next: usize,
    failed: Vec<u64>,
    slow: Vec<u64>,
    totals: Totals,
}

impl Ring {
    fn new(generation: u64, size: usize) -> Self {
        let size = size.max(1);
        Self {
            generation,
            size,
            next: 0,
            failed: vec![0; size.div_ceil(64)],
            slow: vec![0; size.div_ceil(64)],
            totals: Totals::default(),
        }
    }

    fn push(&mut self, failed: bool, slow: bool) {
        let bit = self.next;
        let was_failed = exchange(&mut self.failed, bit, failed);
        let was_slow = exchange(&mut self.slow, bit, slow);
        let totals = &mut self.totals;
        totals.failures = totals.failures + u64::from(failed) - u64::from(was_failed);
        totals.slow = totals.slow + u64::from(slow) - u64::from(was_slow);
        totals.calls = (totals.calls + 1).min(self.size as u64);
        self.next = (bit + 1) % self.size;
    }

    fn is_spotless(&self) -> bool {
        self.totals.calls == self.size as u64 && self.totals.failures + self.totals.slow == 0
    }
}

/// Sets a bit and answers what it was.
fn exchange(bits: &mut [u64], bit: usize, value: bool) -> bool {
    let Some(word) = bits.get_mut(bit / 64) else {
        return false;
    };
    let mask = 1 << (bit % 64);
    let was = *word & mask != 0;
    if value {
        *word |= mask;
    } else {
        *word &= !mask;
    }
    was
}

impl CountWindow {
    /// A window without room, for a breaker of another kind.
    pub(super) fn new(size: u32) -> Self {
        Self {
            spotless: AtomicU64::new(0),
            ring: Mutex::new(Ring::new(0, size as usize)),
        }
    }

    /// Whether the window is full of good results, so that another one changes
    /// nothing.
    pub(super) fn is_spotless(&self, generation: u64) -> bool {
        self.spotless.load(Ordering::Acquire) == generation.wrapping_add(1)
    }

    /// Records a result and answers the sums, or nothing where they cannot
    /// have become worse or the result is stale.
    pub(super) fn record(&self, generation: u64, failed: bool, slow: bool) -> Option<Totals> {
        if !failed && !slow && self.is_spotless(generation) {
            return None;
        }
        let mut ring = lock(&self.ring);
        if ring.generation != generation {
            return None;
        }
        ring.push(failed, slow);
        let spotless = if ring.is_spotless() {
            generation.wrapping_add(1)
        } else {
            0
        };
        self.spotless.store(spotless, Ordering::Release);
        Some(ring.totals)
    }

    pub(super) fn totals(&self) -> Totals {
        lock(&self.ring).totals
    }

    /// Empties the window for a new generation, with room for `size` results.
    pub(super) fn clear(&self, generation: u64, size: u32) {
        let mut ring = lock(&self.ring);
        *ring = Ring::new(generation, size as usize);
        self.spotless.store(0, Ordering::Release);
    }
}
