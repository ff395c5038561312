//! Those who read a run.

use super::{
    RunEvent,
    log::{End, Head, Run},
};
use crate::lock::{lock, read};
use mainstay_resilience::SharedClock;
use std::{fmt, sync::Arc};
use tokio::sync::watch;

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

impl<E> RunReader<E> {
    /// A reader that stands before the first event.
    pub(super) fn new(run: &Arc<Run<E>>, clock: &SharedClock) -> Self {
        lock(&run.watchers).count += 1;
        Self {
            run: Arc::clone(run),
            head: run.head.subscribe(),
            cursor: 0,
            reported_end: false,
            clock: Arc::clone(clock),
        }
    }

    /// The reader standing after event `seq`, unless the run has not come so far.
    pub(super) fn after(mut self, seq: u64) -> Option<Self> {
        let is_reached = seq <= self.head.borrow().seq;
        self.cursor = seq;
        is_reached.then_some(self)
    }
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

impl<E> fmt::Debug for RunReader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunReader")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
