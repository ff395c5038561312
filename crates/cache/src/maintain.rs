//! Upkeep in the background.

use std::{
    sync::{Weak, atomic::Ordering},
    time::Duration,
};

use crate::{cache::Inner, memory, observer::TierState};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);

/// Runs rounds for as long as the cache lives.
pub(crate) async fn run(cache: Weak<Inner>) {
    loop {
        tokio::time::sleep(ROUND).await;
        let Some(cache) = cache.upgrade() else { return };
        cache.maintain().await;
    }
}

impl Inner {
    /// One round: the disk tier's health, the size of the memory tier, a sample
    /// of the hit rate.
    pub(crate) async fn maintain(&self) {
        if let Some(warm) = &self.warm {
            warm.maintain().await;
            self.fit_memory(warm.state());
        }
        self.sample();
    }

    /// Takes a sample of the hit rate and tells the rate.
    pub(crate) fn sample(&self) -> Option<f64> {
        let (hits, misses) = (self.counts.hits.get(), self.counts.misses.get());
        self.window.rate(self.clock.now(), hits, hits + misses)
    }

    /// Without a disk the memory tier takes twice its size, if the machine has
    /// it; with the disk back it shrinks again.
    fn fit_memory(&self, disk: TierState) {
        let grown = self.grown.load(Ordering::Relaxed);
        let wanted = match disk {
            TierState::MemoryOnly if grown == 1 && memory::allows(self.hot.configured()) => 2,
            TierState::Up => 1,
            _ => grown,
        };
        if wanted != grown && self.hot.grow(wanted) {
            self.grown.store(wanted, Ordering::Relaxed);
            tracing::info!(
                bytes = self.hot.capacity(),
                "cache.hot was resized because of cache.warm"
            );
        }
    }
}
