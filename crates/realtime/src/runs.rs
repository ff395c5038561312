//! Runs: the logs of answers that are being written.
//!
//! The writer appends; readers pull by sequence number from the one log and
//! are woken when it grows. So a reader costs a cursor, joins at any position
//! at any time, and can neither slow the writer nor miss or repeat an event.

mod log;
mod reader;
mod writer;

use crate::lock::{lock, read};
use log::Run;
use mainstay_resilience::SharedClock;
pub use reader::{Read, RunReader};
use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
pub use writer::{AppendError, RunWriter};

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
        Ok(RunWriter::new(key, run, Arc::clone(shared)))
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
        RunReader::new(&run, &self.shared.clock).after(after.unwrap_or(0))
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
