//! The one who writes a run.

use super::{
    RunEvent, Shared,
    log::{End, Run},
    reader::RunReader,
};
use crate::lock::{lock, read};
use std::{
    fmt,
    hash::Hash,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

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

/// Writes a run's log. Dropping it without [`RunWriter::finish`] ends the run
/// as abandoned, so that no reader waits for ever.
pub struct RunWriter<K: Eq + Hash + Clone, E> {
    key: K,
    run: Arc<Run<E>>,
    shared: Arc<Shared<K, E>>,
}

impl<K: Eq + Hash + Clone, E: RunEvent> RunWriter<K, E> {
    pub(super) const fn new(key: K, run: Arc<Run<E>>, shared: Arc<Shared<K, E>>) -> Self {
        Self { key, run, shared }
    }

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

    /// A reader of this run from its beginning, as from
    /// [`Runs::attach`](super::Runs::attach).
    #[must_use]
    pub fn reader(&self) -> RunReader<E> {
        RunReader::new(&self.run, &self.shared.clock)
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

impl<K: Eq + Hash + Clone + fmt::Debug, E> fmt::Debug for RunWriter<K, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunWriter")
            .field("key", &self.key)
            .field("head", &*self.run.head.borrow())
            .finish_non_exhaustive()
    }
}
