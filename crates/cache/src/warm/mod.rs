//! The disk tier: an engine while the disk is well, and none while it is not.

mod config;
mod directory;
mod engine;
#[cfg(test)]
pub(crate) mod faulty;
mod health;
mod journal;
mod open;
mod queue;
mod writer;

use std::{
    fs::File,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use mainstay_resilience::SharedClock;
use tokio_util::task::TaskTracker;

pub use config::WarmConfig;
pub(crate) use journal::StreamPosition;

use crate::{
    counters::{TierCounters, count},
    envelope::{self, Envelope, Sealer},
    key::Fingerprint,
    observer::{Event, Lookup, Tier, TierState, Watch},
    stamps::{Stamps, Target},
};
use directory::Directory;
use engine::{Engine, Failure};
use health::Health;
use queue::WriteQueue;

pub(crate) struct Warm {
    config: WarmConfig,
    directory: Directory,
    sealer: Option<Arc<Sealer>>,
    compress_above: Option<usize>,
    clock: SharedClock,
    stamps: Arc<Stamps>,
    watch: Watch,
    tasks: TaskTracker,
    pub(crate) counters: TierCounters,
    health: Mutex<Health>,
    engine: ArcSwapOption<Engine>,
    queue: WriteQueue,
    life: Mutex<Life>,
    /// One attempt to open at a time.
    opening: tokio::sync::Mutex<()>,
    disposal: Arc<Disposal>,
    closing: AtomicBool,
    /// When the tier last proved that it writes, in µs.
    proved_at: AtomicU64,
}

/// How an engine that was taken out of use is being closed.
#[derive(Debug, Default)]
struct Disposal {
    running: AtomicBool,
    /// It would not end: its threads may still write.
    hung: AtomicBool,
}

/// What outlives an engine.
#[derive(Debug, Default)]
struct Life {
    /// The claim on the directory.
    lock: Option<File>,
    /// Generation and epoch of the store, once this process has opened it.
    known: Option<(u64, u64)>,
    /// The files are not to be used again.
    start_afresh: bool,
    position: Option<StreamPosition>,
    /// A trial of the disk that has not come back.
    probe: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
}

/// The parts that a tier is made of.
pub(crate) struct Parts {
    pub(crate) config: WarmConfig,
    pub(crate) sealer: Option<Arc<Sealer>>,
    pub(crate) compress_above: Option<usize>,
    pub(crate) clock: SharedClock,
    pub(crate) stamps: Arc<Stamps>,
    pub(crate) watch: Watch,
    pub(crate) tasks: TaskTracker,
}

impl Warm {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let warm = Arc::new(Self {
            directory: Directory::new(&parts.config.dir),
            health: Mutex::new(Health::new(&parts.config)),
            queue: WriteQueue::new(parts.config.queue_bytes),
            config: parts.config,
            sealer: parts.sealer,
            compress_above: parts.compress_above,
            clock: parts.clock,
            stamps: parts.stamps,
            watch: parts.watch,
            tasks: parts.tasks,
            counters: TierCounters::default(),
            engine: ArcSwapOption::empty(),
            life: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            disposal: Arc::default(),
            closing: AtomicBool::new(false),
            proved_at: AtomicU64::new(0),
        });
        warm.tasks.spawn(writer::run(Arc::clone(&warm)));
        warm
    }

    /// The entry of `key` on the disk, or waiting to be written there. Never
    /// waits longer than the read timeout, and never fails: a tier that does
    /// is a miss that is counted.
    pub(crate) async fn get(&self, key: Fingerprint) -> Option<Envelope> {
        let engine = self.engine.load_full()?;
        let started = self.clock.now();
        let found = self.look(&engine, key).await;
        let result = match &found {
            Ok(Some(entry)) if entry.fresh_until > crate::time::micros(self.clock.unix_time()) => {
                Lookup::Hit
            }
            Ok(Some(_)) => Lookup::Stale,
            Ok(None) => Lookup::Miss,
            Err(result) => *result,
        };
        self.counters.looked(result);
        self.watch.emit(&Event::Looked {
            tier: Tier::Warm,
            result,
            took: self.clock.now().saturating_sub(started),
        });
        found.ok().flatten()
    }

    async fn look(
        &self,
        engine: &Arc<Engine>,
        key: Fingerprint,
    ) -> Result<Option<Envelope>, Lookup> {
        let name = self.outer(key);
        let bytes = match self.queue.get(name) {
            Some(bytes) => bytes,
            None => match engine.read(name).await {
                Ok(found) => {
                    self.succeeded();
                    match found {
                        Some(bytes) => bytes,
                        None => return Ok(None),
                    }
                }
                Err(failure) => {
                    self.failed(engine, &failure, false);
                    return Err(Lookup::Error);
                }
            },
        };
        match envelope::decode(&bytes, name, self.sealer.as_deref()) {
            Ok(entry) if entry.generation != engine.generation => Ok(None),
            Ok(entry)
                if self
                    .stamps
                    .outdated(key.short(), &entry.tags, entry.version) =>
            {
                engine.forget(name);
                Ok(None)
            }
            Ok(entry) => Ok(Some(entry)),
            // Bytes that are not ours say nothing about the disk's health.
            Err(malformed) => {
                engine.forget(name);
                tracing::debug!(?malformed, "an entry of the disk tier is not usable");
                if malformed.is_damage() {
                    Err(Lookup::Damaged)
                } else {
                    Ok(None)
                }
            }
        }
    }

    /// Lets `entry` be written soon.
    pub(crate) fn put(&self, key: Fingerprint, entry: &Envelope) {
        let Some(engine) = self.engine.load_full() else {
            return;
        };
        let name = self.outer(key);
        let entry = Envelope {
            generation: engine.generation,
            ..entry.clone()
        };
        let bytes = envelope::encode(&entry, name, self.sealer.as_deref(), self.compress_above)
            .filter(|bytes| bytes.len() <= self.config.largest_entry());
        let queued = bytes.is_some_and(|bytes| self.queue.push(name, bytes));
        if !queued {
            // What lies there is older than what was to be written.
            self.queue.remove(name);
            engine.forget(name);
            count(&self.counters.dropped);
            self.watch.emit(&Event::Dropped { tier: Tier::Warm });
        }
    }

    /// Drops `key` from the disk. The stamp has made it invisible already.
    pub(crate) fn forget(&self, key: Fingerprint) {
        let name = self.outer(key);
        self.queue.remove(name);
        if let Some(engine) = self.engine.load_full() {
            engine.forget(name);
        }
    }

    /// Writes invalidations to the journal; `true` when they outlast this
    /// process.
    pub(crate) async fn record(&self, what: Vec<(Target, u64)>) -> bool {
        let Some(engine) = self.engine.load_full() else {
            // Without a store nothing can come back, unless its files do: they
            // are opened with what memory knows, or not believed.
            return self.is_forgotten();
        };
        match engine
            .journal(move |journal| journal.invalidated(&what))
            .await
        {
            Ok(()) => true,
            Err(failure) => {
                self.failed(&engine, &failure, true);
                false
            }
        }
    }

    /// Whether no store of this tier could be believed by a later process.
    fn is_forgotten(&self) -> bool {
        !self.directory.journal().exists()
    }

    /// Notes how far the shared stream of invalidations was followed.
    pub(crate) async fn follow(&self, position: StreamPosition) {
        self.life().position = Some(position);
        if let Some(engine) = self.engine.load_full()
            && let Err(failure) = engine
                .journal(move |journal| journal.followed(position))
                .await
        {
            self.failed(&engine, &failure, true);
        }
    }

    /// How far an earlier process, or this one, followed the stream.
    pub(crate) fn position(&self) -> Option<StreamPosition> {
        self.life().position
    }

    /// Deletes everything that is on the disk. The stamp has made it invisible
    /// already.
    pub(crate) async fn clear(&self) {
        self.queue.clear();
        if let Some(engine) = self.engine.load_full()
            && let Err(failure) = engine.destroy().await
        {
            self.failed(&engine, &failure, true);
        }
    }

    pub(crate) fn state(&self) -> TierState {
        self.health().state()
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.health().retry_after(self.clock.now())
    }

    pub(crate) fn bytes_written(&self) -> u64 {
        self.engine
            .load()
            .as_ref()
            .map_or(0, |engine| engine.bytes_written())
    }

    pub(crate) fn configured(&self) -> usize {
        self.config.bytes
    }

    fn outer(&self, key: Fingerprint) -> Fingerprint {
        self.sealer.as_ref().map_or(key, |sealer| sealer.outer(key))
    }

    fn succeeded(&self) {
        self.health().success();
    }

    /// An operation of `engine` failed. When that is once too often, or the
    /// failure is one that the engine does not get over, it is taken out of
    /// use.
    fn failed(&self, engine: &Arc<Engine>, failure: &Failure, fatal: bool) {
        self.counters.failed();
        let fatal = fatal || matches!(failure, Failure::Dead);
        let (from, taken_out) = {
            let mut health = self.health();
            // An engine that is out already may still fail.
            let current = self.engine.load();
            if !current
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, engine))
            {
                return;
            }
            let from = health.state();
            let now = self.clock.now();
            let out = if fatal {
                health.fatal(now)
            } else {
                health.failure(now)
            };
            if out {
                self.engine.store(None);
            }
            (from, out)
        };
        tracing::debug!(%failure, "the disk tier failed");
        if taken_out {
            self.queue.clear();
            self.changed(from, &failure.to_string());
            self.dispose(Arc::clone(engine), matches!(failure, Failure::Hung));
        }
    }

    /// Tells about a change of state.
    fn changed(&self, from: TierState, reason: &str) {
        let to = self.state();
        if from == to {
            return;
        }
        match to {
            TierState::Up => tracing::info!(from = from.as_str(), reason, "cache.warm is in use"),
            TierState::Closed => {
                tracing::info!(from = from.as_str(), reason, "cache.warm has ended");
            }
            _ => tracing::warn!(
                from = from.as_str(),
                to = to.as_str(),
                reason,
                "cache.warm is out of use"
            ),
        }
        self.watch.emit(&Event::State {
            tier: Tier::Warm,
            from,
            to,
            reason,
        });
    }

    /// Ends an engine that is out of use, in the background.
    fn dispose(&self, engine: Arc<Engine>, hung: bool) {
        self.disposal.running.store(true, Ordering::Release);
        self.disposal.hung.fetch_or(hung, Ordering::AcqRel);
        let (disposal, limit) = (Arc::clone(&self.disposal), self.config.open_timeout);
        self.tasks.spawn(async move {
            // From now on invalidations do not reach this journal: were the
            // process to end now, the next one must not believe the store.
            let withdrawn = engine
                .journal(|journal| std::fs::remove_file(journal.path()))
                .await;
            if let Err(failure) = withdrawn {
                tracing::debug!(%failure, "the journal of a sick disk could not be withdrawn");
            }
            // One that died has left its files alone; they can be used again.
            if let Err(Failure::Hung) = engine.close(limit).await {
                disposal.hung.store(true, Ordering::Release);
            }
            drop(engine);
            disposal.running.store(false, Ordering::Release);
        });
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
