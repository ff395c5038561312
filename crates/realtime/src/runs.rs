//! Runs: the logs of answers that are being written.
//!
//! The writer appends; readers pull by sequence number from the one log and
//! are woken when it grows. So a reader costs a cursor, joins at any position
//! at any time, and can neither slow the writer nor miss or repeat an event.

use crate::lock::{lock, read, write};
use mainstay_resilience::SharedClock;
use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// An event of a run's log.
pub trait RunEvent: Clone + Send + Sync + 'static {
    /// The memory that the event takes, in bytes, for the log's bounds.
    fn size(&self) -> usize;
}

/// How many runs and how much of them is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunsConfig {
    /// The most runs that go on at the same time. Default 1000.
    pub max_active: usize,
    /// The most bytes of one run's log. Default 2 MiB.
    pub run_bytes: usize,
    /// The most bytes of all runs that go on. Default 128 MiB.
    pub active_bytes: usize,
    /// The most bytes of all finished runs together; beyond it the earliest
    /// finished go first. Default 32 MiB.
    pub finished_bytes: usize,
    /// How long a finished run can still be replayed from memory, in seconds.
    /// Default 60.
    pub keep_finished_seconds: u64,
}

impl Default for RunsConfig {
    fn default() -> Self {
        Self {
            max_active: 1000,
            run_bytes: 2 * 1024 * 1024,
            active_bytes: 128 * 1024 * 1024,
            finished_bytes: 32 * 1024 * 1024,
            keep_finished_seconds: 60,
        }
    }
}

/// Why a run was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartError {
    /// A run with this id is known already.
    Known,
    /// As many runs as allowed go on.
    TooMany,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known => "a run with this id was started before",
            Self::TooMany => "too many runs go on at the same time",
        })
    }
}

impl std::error::Error for StartError {}

/// The run's log, or all of them together, have reached their bound.
/// [`RunWriter::finish`] still works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendError;

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the run has grown beyond its bound")
    }
}

impl std::error::Error for AppendError {}

/// What a reader got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<E> {
    /// The next event.
    Event {
        /// Its number in the run, from 1.
        seq: u64,
        /// The event.
        event: E,
    },
    /// The writer went away without finishing; nothing more will come.
    Abandoned,
}

/// What is held, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunsStats {
    /// Runs that go on.
    pub active: usize,
    /// Finished runs that can still be replayed.
    pub finished: usize,
    /// The bytes of all their logs.
    pub bytes: usize,
}

/// All runs of a process, by key.
pub struct Runs<K, E> {
    shared: Arc<Shared<K, E>>,
}

struct Shared<K, E> {
    config: RunsConfig,
    clock: SharedClock,
    runs: Mutex<HashMap<K, Arc<Run<E>>>>,
    active: AtomicUsize,
    /// The bytes of the runs that go on.
    active_bytes: AtomicUsize,
}

struct Run<E> {
    log: RwLock<Log<E>>,
    /// The log's length and whether it has ended; wakes the readers.
    head: watch::Sender<Head>,
    cancelled: watch::Sender<bool>,
    watchers: Mutex<Watchers>,
}

struct Log<E> {
    events: Vec<E>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    seq: u64,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    finished: bool,
    /// On the monotonic clock.
    at: Duration,
}

struct Watchers {
    count: usize,
    /// Since when nobody watches, on the monotonic clock.
    none_since: Duration,
}

impl<K, E> Runs<K, E>
where
    K: Eq + Hash + Clone + Send + 'static,
    E: RunEvent,
{
    /// No runs yet.
    #[must_use]
    pub fn new(config: RunsConfig, clock: SharedClock) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                clock,
                runs: Mutex::new(HashMap::new()),
                active: AtomicUsize::new(0),
                active_bytes: AtomicUsize::new(0),
            }),
        }
    }

    /// Starts a run. Its log lives until the writer ends it and some time after.
    ///
    /// # Errors
    /// [`StartError`] when the key is in use or too many runs go on.
    pub fn start(&self, key: K) -> Result<RunWriter<K, E>, StartError> {
        let shared = &self.shared;
        let mut runs = lock(&shared.runs);
        shared.forget_finished(&mut runs);
        if runs.contains_key(&key) {
            return Err(StartError::Known);
        }
        if shared.active.load(Ordering::Relaxed) >= shared.config.max_active {
            return Err(StartError::TooMany);
        }
        let run = Arc::new(Run::new(shared.clock.now()));
        runs.insert(key.clone(), Arc::clone(&run));
        shared.active.fetch_add(1, Ordering::Relaxed);
        Ok(RunWriter {
            key,
            run,
            shared: Arc::clone(shared),
        })
    }

    /// A reader that replays what came after `after` (from the beginning for
    /// `None`) and follows. `None` when the run is not in memory, or `after`
    /// is a position that the run has not reached: ask storage then.
    #[must_use]
    pub fn attach(&self, key: &K, after: Option<u64>) -> Option<RunReader<E>> {
        let run = {
            let mut runs = lock(&self.shared.runs);
            self.shared.forget_finished(&mut runs);
            Arc::clone(runs.get(key)?)
        };
        run.attach(after.unwrap_or(0), &self.shared.clock)
    }

    /// Asks the run's writer to stop. `false` when no such run goes on.
    pub fn cancel(&self, key: &K) -> bool {
        let run = lock(&self.shared.runs).get(key).map(Arc::clone);
        run.is_some_and(|run| {
            let going_on = run.head.borrow().end.is_none();
            if going_on {
                run.cancelled.send_replace(true);
            }
            going_on
        })
    }

    /// Asks every writer to stop, as when the process goes down.
    pub fn cancel_all(&self) {
        for run in lock(&self.shared.runs).values() {
            if run.head.borrow().end.is_none() {
                run.cancelled.send_replace(true);
            }
        }
    }

    /// The keys of the runs that go on.
    #[must_use]
    pub fn active(&self) -> Vec<K> {
        lock(&self.shared.runs)
            .iter()
            .filter(|(_, run)| run.head.borrow().end.is_none())
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// What is held now.
    #[must_use]
    pub fn stats(&self) -> RunsStats {
        let mut runs = lock(&self.shared.runs);
        self.shared.forget_finished(&mut runs);
        let active = self.shared.active.load(Ordering::Relaxed);
        RunsStats {
            active,
            finished: runs.len().saturating_sub(active),
            bytes: runs.values().map(|run| read(&run.log).bytes).sum(),
        }
    }
}

impl<K: Eq + Hash + Clone, E> Shared<K, E> {
    /// Drops finished runs that are too old, then the earliest finished ones
    /// while all together are too big.
    fn forget_finished(&self, runs: &mut HashMap<K, Arc<Run<E>>>) {
        let now = self.clock.now();
        let keep = Duration::from_secs(self.config.keep_finished_seconds);
        let mut finished: Vec<(Duration, usize, K)> = Vec::new();
        let mut bytes = 0;
        runs.retain(|key, run| {
            let Some(end) = run.head.borrow().end else {
                return true;
            };
            if now.saturating_sub(end.at) >= keep {
                return false;
            }
            let size = read(&run.log).bytes;
            bytes += size;
            finished.push((end.at, size, key.clone()));
            true
        });
        if bytes > self.config.finished_bytes {
            finished.sort_unstable_by_key(|(at, ..)| *at);
            for (_, size, key) in finished {
                if bytes <= self.config.finished_bytes {
                    break;
                }
                runs.remove(&key);
                bytes = bytes.saturating_sub(size);
            }
        }
    }
}

impl<E> Run<E> {
    fn new(now: Duration) -> Self {
        Self {
            log: RwLock::new(Log {
                events: Vec::new(),
                bytes: 0,
            }),
            head: watch::Sender::new(Head { seq: 0, end: None }),
            cancelled: watch::Sender::new(false),
            watchers: Mutex::new(Watchers {
                count: 0,
                none_since: now,
            }),
        }
    }

    fn attach(self: Arc<Self>, after: u64, clock: &SharedClock) -> Option<RunReader<E>> {
        let head = self.head.subscribe();
        if after > head.borrow().seq {
            return None;
        }
        lock(&self.watchers).count += 1;
        Some(RunReader {
            run: self,
            head,
            cursor: after,
            reported_end: false,
            clock: Arc::clone(clock),
        })
    }

    /// Appends and wakes the readers. The log is complete before the head
    /// moves, so a reader that sees the head can read up to it.
    fn push(&self, event: E, size: usize, end: Option<End>) -> u64 {
        let seq = {
            let mut log = write(&self.log);
            log.events.push(event);
            log.bytes += size;
            log.events.len() as u64
        };
        self.head.send_replace(Head { seq, end });
        seq
    }
}

/// Writes a run's log. Dropping it without [`RunWriter::finish`] ends the run
/// as abandoned, so that no reader waits for ever.
pub struct RunWriter<K: Eq + Hash + Clone, E> {
    key: K,
    run: Arc<Run<E>>,
    shared: Arc<Shared<K, E>>,
}

impl<K: Eq + Hash + Clone, E: RunEvent> RunWriter<K, E> {
    /// The run's key.
    #[must_use]
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// Appends an event and tells its number, from 1.
    ///
    /// # Errors
    /// [`AppendError`] when the log would grow beyond its bound.
    pub fn append(&mut self, event: E) -> Result<u64, AppendError> {
        let size = event.size();
        let config = &self.shared.config;
        let others = self.shared.active_bytes.load(Ordering::Relaxed);
        if read(&self.run.log).bytes.saturating_add(size) > config.run_bytes
            || others.saturating_add(size) > config.active_bytes
        {
            return Err(AppendError);
        }
        self.shared.active_bytes.fetch_add(size, Ordering::Relaxed);
        Ok(self.run.push(event, size, None))
    }

    /// Appends the last event and ends the run. The last event is always
    /// taken, so that every reader learns how the run ended.
    pub fn finish(self, event: E) -> u64 {
        let size = event.size();
        let end = End {
            finished: true,
            at: self.shared.clock.now(),
        };
        self.shared.active_bytes.fetch_add(size, Ordering::Relaxed);
        self.run.push(event, size, Some(end))
    }

    /// Completes when somebody cancels the run. The future borrows nothing,
    /// so that it can be awaited beside whatever produces the events.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<K, E> {
        let run = Arc::clone(&self.run);
        async move {
            let mut cancelled = run.cancelled.subscribe();
            // The run holds the sender, so this cannot fail.
            let _ = cancelled.wait_for(|cancelled| *cancelled).await;
        }
    }

    /// Whether somebody cancelled the run.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.run.cancelled.borrow()
    }

    /// How many readers follow.
    #[must_use]
    pub fn watchers(&self) -> usize {
        lock(&self.run.watchers).count
    }

    /// For how long nobody has followed; `None` while somebody does.
    #[must_use]
    pub fn unwatched_for(&self) -> Option<Duration> {
        let watchers = lock(&self.run.watchers);
        (watchers.count == 0).then(|| self.shared.clock.now().saturating_sub(watchers.none_since))
    }

    /// A reader of this run, as from [`Runs::attach`].
    #[must_use]
    pub fn reader(&self) -> RunReader<E> {
        let run = Arc::clone(&self.run);
        lock(&run.watchers).count += 1;
        RunReader {
            head: run.head.subscribe(),
            run,
            cursor: 0,
            reported_end: false,
            clock: Arc::clone(&self.shared.clock),
        }
    }
}

impl<K: Eq + Hash + Clone, E> Drop for RunWriter<K, E> {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.active.fetch_sub(1, Ordering::Relaxed);
        let bytes = read(&self.run.log).bytes;
        shared.active_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let at = self.shared.clock.now();
        self.run.head.send_if_modified(|head| {
            let abandoned = head.end.is_none();
            if abandoned {
                head.end = Some(End {
                    finished: false,
                    at,
                });
            }
            abandoned
        });
    }
}

/// Reads a run's log from a position on: every event exactly once, in order.
/// While it exists, the run counts as watched.
pub struct RunReader<E> {
    run: Arc<Run<E>>,
    head: watch::Receiver<Head>,
    /// The number of the last event that was read.
    cursor: u64,
    reported_end: bool,
    clock: SharedClock,
}

impl<E: RunEvent> RunReader<E> {
    /// The next event; `None` when the run is finished and read to its end.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Read<E>> {
        loop {
            if let Some(read) = self.try_next() {
                return Some(read);
            }
            let head = *self.head.borrow_and_update();
            if head.seq > self.cursor {
                continue;
            }
            match head.end {
                Some(End { finished: true, .. }) => return None,
                Some(_) if self.reported_end => return None,
                Some(_) => continue,
                // The run is held by `self`, so the sender cannot be gone.
                None => self.head.changed().await.ok()?,
            }
        }
    }

    /// The next event if there is one.
    pub fn try_next(&mut self) -> Option<Read<E>> {
        // The head is read first: when it tells the end, the log is complete.
        let head = *self.head.borrow();
        let index = usize::try_from(self.cursor).ok()?;
        let event = read(&self.run.log).events.get(index).cloned();
        if let Some(event) = event {
            self.cursor += 1;
            return Some(Read::Event {
                seq: self.cursor,
                event,
            });
        }
        let abandoned = head.end.is_some_and(|end| !end.finished);
        if abandoned && !self.reported_end {
            self.reported_end = true;
            return Some(Read::Abandoned);
        }
        None
    }

    /// The number of the last event that was read; 0 before the first.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.cursor
    }
}

impl<E> Drop for RunReader<E> {
    fn drop(&mut self) {
        let mut watchers = lock(&self.run.watchers);
        watchers.count = watchers.count.saturating_sub(1);
        if watchers.count == 0 {
            watchers.none_since = self.clock.now();
        }
    }
}

impl<K, E> Clone for Runs<K, E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K, E> fmt::Debug for Runs<K, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs")
            .field("active", &self.shared.active.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone + fmt::Debug, E> fmt::Debug for RunWriter<K, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunWriter")
            .field("key", &self.key)
            .field("head", &*self.run.head.borrow())
            .finish_non_exhaustive()
    }
}

impl<E> fmt::Debug for RunReader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunReader")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
