//! The memory tier: bounded in bytes, read without waiting.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use crate::{
    Key,
    counters::{TierCounters, count},
    key::{BuildDigestHasher, Fingerprint},
    observer::{Event, Tier, Watch},
    quota::{Charge, Quotas},
    stamps::Stamps,
};

/// What an entry costs beside its value and tags: the engine's record and
/// index, the entry itself, the digest.
const OVERHEAD: usize = 181 + std::mem::size_of::<HotEntry>() + 32;

/// Locks that order a publication against an invalidation of the same key.
const GATES: usize = 64;

type Engine = foyer::Cache<Fingerprint, HotEntry, BuildDigestHasher>;

/// An entry in memory. Times are µs of the monotonic clock.
pub(crate) struct HotEntry {
    pub(crate) value: Bytes,
    pub(crate) absent: bool,
    /// It came through a checksum.
    pub(crate) verified: bool,
    /// The stamp at which its load began.
    pub(crate) version: u64,
    /// When it was loaded, which may be before the clock's origin.
    pub(crate) loaded_at: i64,
    pub(crate) fresh_until: u64,
    pub(crate) use_until: u64,
    /// From here on a background load is worth while; moved on by whoever
    /// starts one.
    pub(crate) refresh_at: AtomicU64,
    /// Before this no load is tried again after a failure.
    pub(crate) retry_at: AtomicU64,
    /// The longest time without a reader; `u64::MAX` is for ever.
    pub(crate) idle: u64,
    pub(crate) touched: AtomicU64,
    pub(crate) tags: Arc<[u64]>,
    /// The newest invalidation of a tag that this entry was compared with.
    pub(crate) checked: AtomicU64,
    pub(crate) load_micros: u32,
    pub(crate) charge: Option<Charge>,
}

/// How useful an entry is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Fresh,
    /// Fresh, and near enough to its end that it should be loaded again.
    Eager,
    /// Past its freshness and not yet past its use.
    Stale,
    Dead,
}

impl HotEntry {
    pub(crate) fn life(&self, now: u64) -> Life {
        if now >= self.use_until.max(self.fresh_until) {
            return Life::Dead;
        }
        if self.idle != u64::MAX {
            if now.saturating_sub(self.touched.load(Ordering::Relaxed)) >= self.idle {
                return Life::Dead;
            }
            self.touched.store(now, Ordering::Relaxed);
        }
        if now >= self.fresh_until {
            Life::Stale
        } else if now >= self.refresh_at.load(Ordering::Relaxed) {
            Life::Eager
        } else {
            Life::Fresh
        }
    }

    /// Whether a tag of it, or everything, was invalidated since its load.
    fn outdated(&self, stamps: &Stamps) -> bool {
        let newest = stamps.lazy();
        if newest <= self.version || newest == self.checked.load(Ordering::Relaxed) {
            return false;
        }
        if stamps.tags_outdated(&self.tags, self.version) {
            return true;
        }
        self.checked.store(newest, Ordering::Relaxed);
        false
    }

    fn weight(&self) -> usize {
        OVERHEAD + self.value.len() + self.tags.len() * 8
    }
}

/// A reference to an entry, which keeps it alive.
pub(crate) type HotRef = foyer::CacheEntry<Fingerprint, HotEntry, BuildDigestHasher>;

pub(crate) struct Hot {
    engine: Engine,
    capacity: usize,
    resized: AtomicUsize,
    gates: Vec<Mutex<()>>,
    quotas: Quotas,
    pub(crate) counters: Arc<TierCounters>,
}

/// What became of an entry that was to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    Kept,
    /// Too large for the tier, or beyond its namespace's quota.
    TooLarge,
    /// It was invalidated since its load began, or a newer one is there.
    Outdated,
}

struct Leaving {
    counters: Arc<TierCounters>,
    watch: Watch,
}

impl foyer::EventListener for Leaving {
    type Key = Fingerprint;
    type Value = HotEntry;

    fn on_leave(&self, reason: foyer::Event, _: &Fingerprint, _: &HotEntry) {
        if reason == foyer::Event::Evict {
            count(&self.counters.evictions);
            self.watch.emit(&Event::Evicted { tier: Tier::Hot });
        }
    }
}

impl Hot {
    pub(crate) fn new(capacity: usize, quota: Option<usize>, watch: Watch) -> Self {
        let counters = Arc::new(TierCounters::default());
        // Each shard holds its share of the bytes: small caches get fewer
        // shards, so that an ordinary value still fits into one.
        let shards = (capacity >> 20).clamp(1, 8);
        let engine = foyer::CacheBuilder::new(capacity)
            .with_shards(shards)
            .with_eviction_config(foyer::S3FifoConfig::default())
            .with_hash_builder(BuildDigestHasher::default())
            .with_weighter(|_: &Fingerprint, entry: &HotEntry| entry.weight())
            .with_event_listener(Arc::new(Leaving {
                counters: Arc::clone(&counters),
                watch,
            }))
            .build();
        Self {
            engine,
            capacity,
            resized: AtomicUsize::new(capacity),
            gates: (0..GATES).map(|_| Mutex::new(())).collect(),
            quotas: Quotas::new(quota),
            counters,
        }
    }

    /// The entry of `key` if it is of any use, without waiting.
    pub(crate) fn get(
        &self,
        key: Fingerprint,
        now: u64,
        stamps: &Stamps,
    ) -> Option<(HotRef, Life)> {
        let entry = self.engine.get(&key)?;
        let life = entry.life(now);
        if life == Life::Dead || entry.outdated(stamps) {
            // Left to eviction: removing it here could hit a newer entry.
            return None;
        }
        Some((entry, life))
    }

    /// Puts `entry` in, unless it was invalidated since its load began.
    pub(crate) fn publish(&self, key: &Key, mut entry: HotEntry, stamps: &Stamps) -> Published {
        let fingerprint = key.fingerprint();
        let weight = entry.weight();
        // A single entry may take an eighth of its shard, lest it sweep out
        // everything else.
        let shard = self.capacity / self.engine.shards();
        if weight > (shard / 8).max(64 << 10).min(shard / 2) {
            let _gate = self.gate(fingerprint);
            // What it replaces is older than it.
            self.remove_older(fingerprint, entry.version);
            return Published::TooLarge;
        }
        let charged = self.quotas.charge(
            key,
            weight,
            |other| self.engine.contains(other),
            |other| drop(self.engine.remove(&other)),
        );
        let Ok(charge) = charged else {
            let _gate = self.gate(fingerprint);
            self.remove_older(fingerprint, entry.version);
            return Published::TooLarge;
        };
        entry.charge = charge;
        let _gate = self.gate(fingerprint);
        if stamps.outdated(fingerprint.short(), &entry.tags, entry.version) {
            return Published::Outdated;
        }
        if self
            .engine
            .get(&fingerprint)
            .is_some_and(|there| there.version > entry.version)
        {
            return Published::Outdated;
        }
        self.engine.insert(fingerprint, entry);
        Published::Kept
    }

    fn remove_older(&self, key: Fingerprint, version: u64) {
        if self
            .engine
            .get(&key)
            .is_some_and(|there| there.version < version)
        {
            self.engine.remove(&key);
        }
    }

    /// Removes `key` while `stamp` is taken, so that no load that began before
    /// is published after.
    pub(crate) fn invalidate(&self, key: Fingerprint, stamp: impl FnOnce()) {
        let _gate = self.gate(key);
        stamp();
        self.engine.remove(&key);
    }

    pub(crate) fn clear(&self) {
        self.engine.clear();
    }

    /// Makes the tier `factor` times as large as it was built.
    pub(crate) fn grow(&self, factor: usize) -> bool {
        let bytes = self.capacity.saturating_mul(factor);
        let resized = self.engine.resize(bytes).is_ok();
        if resized {
            // The engine goes on to tell the capacity that it was built with.
            self.resized.store(bytes, Ordering::Relaxed);
        }
        resized
    }

    pub(crate) fn configured(&self) -> usize {
        self.capacity
    }

    pub(crate) fn capacity(&self) -> usize {
        self.resized.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.engine.usage()
    }

    pub(crate) fn entries(&self) -> usize {
        self.engine.entries()
    }

    fn gate(&self, key: Fingerprint) -> MutexGuard<'_, ()> {
        let index = key.0[9] as usize % GATES;
        self.gates[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hot")
            .field("bytes", &self.bytes())
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}
