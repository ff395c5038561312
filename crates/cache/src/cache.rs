//! The cache: tiers under one roof.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use mainstay_resilience::SharedClock;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Builder, Cached, Key, Options, ReadOnlyCache, Source, Stats,
    counters::{HitWindow, Striped},
    entry,
    flight::Flights,
    hot::{Hot, HotRef, Life},
    key::{Fingerprint, tag_hash},
    observer::{Event, Lookup, Tier, Watch},
    shared_tier::Shared,
    stamps::{Stamps, Target},
    time::micros,
    warm::{StreamPosition, Warm},
};

/// A cache of several tiers. Clones share them; the last one to go ends the
/// background work, but only [`shutdown`](Self::shutdown) makes sure that the
/// disk tier took everything.
#[derive(Clone)]
pub struct Cache {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) clock: SharedClock,
    pub(crate) stamps: Arc<Stamps>,
    pub(crate) hot: Hot,
    pub(crate) warm: Option<Arc<Warm>>,
    pub(crate) shared: Option<Arc<Shared>>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) watch: Watch,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// Loads in the background that may run at once.
    pub(crate) background: Arc<Semaphore>,
    pub(crate) lease_wait: Duration,
    pub(crate) window: HitWindow,
    pub(crate) counts: Counts,
    /// How many times its configured size the hot tier has.
    pub(crate) grown: AtomicUsize,
    pub(crate) random: AtomicU64,
    pub(crate) position: Mutex<Option<StreamPosition>>,
    /// Whether entries may be kept from before the shared stream was followed.
    pub(crate) earlier: AtomicBool,
}

/// What the cache did as a whole.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) hits: Striped,
    pub(crate) misses: Striped,
    pub(crate) loads: AtomicU64,
    pub(crate) load_failures: AtomicU64,
    pub(crate) background_loads: AtomicU64,
    pub(crate) stale_served: AtomicU64,
}

/// What became of an invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalidated {
    /// It outlasts this process: the disk tier will not serve the old value
    /// after a restart either. Always true without a disk tier.
    pub durable: bool,
    /// The shared tier and, through it, the other instances were told. When
    /// not, they are as soon as the server answers. Always true without a
    /// shared tier.
    pub shared: bool,
}

impl Cache {
    /// Starts to describe a cache.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The entry of `key` if it is fresh and in memory; never waits.
    pub fn get_hot(&self, key: &Key) -> Option<Cached> {
        let inner = &*self.inner;
        let now = inner.now();
        match inner.hot.get(key.fingerprint(), now, &inner.stamps) {
            Some((entry, Life::Fresh | Life::Eager)) => Some(inner.hot_hit(&entry, now)),
            _ => None,
        }
    }

    /// The fresh entry of `key` from the first tier that has one.
    pub async fn get(&self, key: &Key) -> Option<Cached> {
        self.find(key).await.filter(|cached| !cached.stale)
    }

    /// The entry of `key`, even past its freshness, as long as it is of use:
    /// for an answer when nothing better can be had.
    pub async fn get_stale(&self, key: &Key) -> Option<Cached> {
        self.find(key).await
    }

    async fn find(&self, key: &Key) -> Option<Cached> {
        let inner = &*self.inner;
        let now = inner.now();
        let stale = match inner.hot.get(key.fingerprint(), now, &inner.stamps) {
            Some((entry, Life::Fresh | Life::Eager)) => return Some(inner.hot_hit(&entry, now)),
            Some((entry, _)) => Some(entry::cached(&entry, now, Source::Hot)),
            None => None,
        };
        inner.hot.counters.looked(Lookup::Miss);
        let below = inner.look_below(key, None, &Options::default()).await;
        let found = match below {
            Some(standby)
                if stale
                    .as_ref()
                    .is_none_or(|stale| standby.cached.age < stale.age) =>
            {
                Some(standby.cached)
            }
            _ => stale,
        };
        match &found {
            Some(cached) if !cached.stale => inner.counts.hits.add(),
            _ => inner.counts.misses.add(),
        }
        found
    }

    /// Stores a value in place of whatever there is. Loads that began before do
    /// not overwrite it.
    pub async fn put(&self, key: &Key, value: impl Into<Bytes>, options: &Options) -> Invalidated {
        let inner = &*self.inner;
        let fingerprint = key.fingerprint();
        let stamp = inner.invalidate_here(fingerprint);
        let made = inner.make(entry::New {
            value: value.into(),
            absent: false,
            ttl: options.ttl,
            tags: Arc::clone(&options.tags),
            version: inner.stamps.next(),
            position: inner.shared.as_ref().map_or(0, |shared| shared.position()),
            took: Duration::ZERO,
            options,
        });
        let envelope = made.envelope();
        inner.hot.publish(key, made.hot, &inner.stamps);
        let mut done = Invalidated {
            durable: true,
            shared: true,
        };
        if let Some(warm) = &inner.warm {
            // After a crash the disk must not serve the old value, whether or
            // not the new one was written by then.
            done.durable = warm
                .record(vec![(Target::Key(fingerprint.short()), stamp)])
                .await;
            if options.warm {
                warm.put(fingerprint, &envelope);
            }
        }
        if let Some(shared) = &inner.shared {
            done.shared = if options.shared {
                shared.put(fingerprint, &envelope).await
            } else {
                shared.invalidate(&[fingerprint]).await
            };
        }
        done
    }

    /// Makes everything stored under `keys` so far invisible, everywhere. When
    /// it returns, no later read of this process gives an older value.
    pub async fn invalidate(&self, keys: &[Key]) -> Invalidated {
        let inner = &*self.inner;
        let fingerprints: Vec<Fingerprint> = keys.iter().map(Key::fingerprint).collect();
        let durable = inner.invalidate_locally(&fingerprints, &[], false).await;
        let shared = match &inner.shared {
            Some(shared) => shared.invalidate(&fingerprints).await,
            None => true,
        };
        Invalidated { durable, shared }
    }

    /// Makes everything that carries one of `tags` invisible, everywhere.
    pub async fn invalidate_tags<T: AsRef<str>>(&self, tags: &[T]) -> Invalidated {
        let inner = &*self.inner;
        let targets: Vec<Target> = tags
            .iter()
            .map(|tag| Target::Tag(tag_hash(tag.as_ref())))
            .collect();
        let durable = inner.invalidate_locally(&[], &targets, false).await;
        let mut shared = true;
        if let Some(tier) = &inner.shared {
            for target in &targets {
                shared &= tier.invalidate_lazily(*target).await;
            }
        }
        Invalidated { durable, shared }
    }

    /// Drops everything: of one tier, or of all and in all instances. Dropping
    /// the shared tier makes every instance drop what it took from there.
    pub async fn clear(&self, tier: Option<Tier>) -> Invalidated {
        let inner = &*self.inner;
        let mut done = Invalidated {
            durable: true,
            shared: true,
        };
        if tier.is_none() {
            done.durable = inner.invalidate_locally(&[], &[Target::All], false).await;
        }
        if tier.is_none_or(|tier| tier == Tier::Hot) {
            inner.hot.clear();
        }
        if tier.is_none_or(|tier| tier == Tier::Warm)
            && let Some(warm) = &inner.warm
        {
            warm.clear().await;
        }
        if tier.is_none_or(|tier| tier == Tier::Shared)
            && let Some(shared) = &inner.shared
        {
            done.shared = shared.invalidate_lazily(Target::All).await;
        }
        done
    }

    /// A handle that can only read.
    pub fn read_only(&self) -> ReadOnlyCache {
        ReadOnlyCache::new(self.clone())
    }

    /// What the cache has done and how its tiers are.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.inner)
    }

    /// One round of the upkeep that runs in the background every second. A
    /// service need not call it; a test with a clock of its own may.
    pub async fn maintain(&self) {
        self.inner.maintain().await;
    }

    /// Ends the background work and makes sure that the disk has everything,
    /// within `limit` for each part. The cache still answers from memory
    /// afterwards.
    pub async fn shutdown(&self, limit: Duration) {
        self.inner.stop.cancel();
        if let Some(warm) = &self.inner.warm {
            warm.close(limit).await;
        }
        self.inner.tasks.close();
        if tokio::time::timeout(limit, self.inner.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("background work of the cache did not end in time");
        }
    }
}

impl Inner {
    pub(crate) fn now(&self) -> u64 {
        micros(self.clock.now())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(crate) fn hot_hit(&self, entry: &HotRef, now: u64) -> Cached {
        self.hot.counters.looked(Lookup::Hit);
        self.counts.hits.add();
        if self.watch.0.is_some() {
            self.watch.emit(&Event::Looked {
                tier: Tier::Hot,
                result: Lookup::Hit,
                took: Duration::ZERO,
            });
        }
        entry::cached(entry, now, Source::Hot)
    }

    pub(crate) fn stale_hit(&self) {
        self.hot.counters.looked(Lookup::Stale);
        self.counts.hits.add();
        self.counts.stale_served.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the stamp of an invalidation and removes the key from memory, in
    /// one step.
    pub(crate) fn invalidate_here(&self, key: Fingerprint) -> u64 {
        let mut stamp = 0;
        self.hot.invalidate(key, || {
            stamp = self.stamps.invalidate(Target::Key(key.short()));
        });
        if let Some(warm) = &self.warm {
            warm.forget(key);
        }
        stamp
    }

    /// Invalidates in memory and on the disk; `true` when it outlasts this
    /// process.
    async fn invalidate_locally(
        &self,
        keys: &[Fingerprint],
        targets: &[Target],
        remote: bool,
    ) -> bool {
        let mut record: Vec<(Target, u64)> = keys
            .iter()
            .map(|key| (Target::Key(key.short()), self.invalidate_here(*key)))
            .collect();
        record.extend(
            targets
                .iter()
                .map(|target| (*target, self.stamps.invalidate(*target))),
        );
        if targets.contains(&Target::All) {
            self.hot.clear();
        }
        self.watch.emit(&Event::Invalidated {
            keys: keys.len(),
            remote,
        });
        match &self.warm {
            Some(warm) if !record.is_empty() => warm.record(record).await,
            _ => true,
        }
    }

    /// Another instance invalidated these.
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "there are no other instances")
    )]
    pub(crate) async fn invalidated_elsewhere(&self, keys: Vec<Fingerprint>, targets: Vec<Target>) {
        if !(keys.is_empty() && targets.is_empty()) {
            self.invalidate_locally(&keys, &targets, true).await;
        }
    }

    /// Drops everything kept here, because invalidations may have been missed.
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "there are no other instances")
    )]
    pub(crate) async fn resynchronise(&self) {
        self.invalidate_locally(&[], &[Target::All], true).await;
        self.watch.emit(&Event::Resynchronised);
    }

    /// How far the shared stream was followed, by this process or the one
    /// before.
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "there are no other instances")
    )]
    pub(crate) fn followed(&self) -> Option<StreamPosition> {
        let here = *self.position.lock().unwrap_or_else(PoisonError::into_inner);
        here.or_else(|| self.warm.as_ref().and_then(|warm| warm.position()))
    }

    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "there are no other instances")
    )]
    pub(crate) async fn follow(&self, position: StreamPosition) {
        let news = {
            let mut here = self.position.lock().unwrap_or_else(PoisonError::into_inner);
            let news = *here != Some(position);
            *here = Some(position);
            news
        };
        self.earlier.store(false, Ordering::Relaxed);
        if let Some(warm) = &self.warm
            && news
        {
            warm.follow(position).await;
        }
    }

    /// Whether there may be entries from before anything was followed.
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "there are no other instances")
    )]
    pub(crate) fn keeps_from_earlier(&self) -> bool {
        self.earlier.load(Ordering::Relaxed)
    }

    /// A number from 0 (inclusive) to 1.
    pub(crate) fn chance(&self) -> f64 {
        // SplitMix64: even enough for spreading moments, and repeatable from
        // its seed.
        let mut word = self
            .random
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        (word >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(warm) = &self.warm {
            warm.stop();
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.inner.name)
            .field("hot", &self.inner.hot)
            .field("warm", &self.inner.warm.as_ref().map(|warm| warm.state()))
            .field("shared", &self.inner.shared)
            .finish_non_exhaustive()
    }
}
