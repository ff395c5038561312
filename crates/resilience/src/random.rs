//! A small seedable source of randomness that threads share without a lock.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// SplitMix64 (Steele, Lea and Flood, 2014): a counter and a finaliser, so that
/// a shared counter makes it safe for threads. Good enough for jitter, and of
/// no use for secrets.
#[derive(Debug)]
pub(crate) struct Random {
    state: AtomicU64,
}

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
        }
    }

    /// Seeded by the operating system.
    pub(crate) fn from_entropy() -> Self {
        Self::seeded(RandomState::new().hash_one(0u8))
    }

    pub(crate) fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self
            .state
            .fetch_add(STEP, Ordering::Relaxed)
            .wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to and without 1.
    pub(crate) fn fraction(&self) -> f64 {
        // 53 bits fill the fraction of a double exactly.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
