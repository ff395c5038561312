//! One run: its log, its end and who watches.

use crate::lock::write;
use std::{
    sync::{Mutex, RwLock},
    time::Duration,
};
use tokio::sync::watch;

pub(super) struct Run<E> {
    pub(super) log: RwLock<Log<E>>,
    /// The log's length and whether it has ended; wakes the readers.
    pub(super) head: watch::Sender<Head>,
    pub(super) cancelled: watch::Sender<bool>,
    pub(super) watchers: Mutex<Watchers>,
}

pub(super) struct Log<E> {
    pub(super) events: Vec<E>,
    pub(super) bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) finished: bool,
    /// On the monotonic clock.
    pub(super) at: Duration,
}

pub(super) struct Watchers {
    pub(super) count: usize,
    /// Since when nobody watches, on the monotonic clock.
    pub(super) none_since: Duration,
}

impl<E> Run<E> {
    pub(super) fn new(now: Duration) -> Self {
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

    /// Appends and wakes the readers. The log is complete before the head
    /// moves, so a reader that sees the head can read up to it.
    pub(super) fn push(&self, event: E, size: usize, end: Option<End>) -> u64 {
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
