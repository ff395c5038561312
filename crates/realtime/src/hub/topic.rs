//! One topic: its history and who listens.

use super::{Event, Inner, listener::Mailbox};
use crate::{
    lock::lock,
    position::{Epoch, Position},
};
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) epoch: Epoch,
    state: Mutex<State>,
}

struct State {
    /// The newest events, with when they came on the monotonic clock.
    history: VecDeque<(Duration, Arc<Event>)>,
    bytes: usize,
    /// The newest event's number; the history ends with it.
    head: u64,
    /// By listener.
    mailboxes: HashMap<u64, Arc<Mailbox>>,
    /// When the topic was last listened or published to.
    used_at: Duration,
}

/// What a listener finds after its cursor.
pub(super) enum Found {
    /// The next event, and whether more follow.
    Event(Arc<Event>, bool),
    /// The next event that is still there has this number.
    Gap(u64),
    /// Nothing yet.
    Nothing,
}

impl Topic {
    pub(super) fn new(name: Arc<str>, epoch: Epoch, now: Duration) -> Self {
        Self {
            name,
            epoch,
            state: Mutex::new(State {
                history: VecDeque::new(),
                bytes: 0,
                head: 0,
                mailboxes: HashMap::new(),
                used_at: now,
            }),
        }
    }

    /// Appends an event and wakes all who listen. Also tells by how many bytes
    /// the history has changed.
    pub(super) fn publish(&self, kind: &str, data: Bytes, hub: &Inner) -> (Position, isize) {
        let now = hub.clock.now();
        let published_at = hub.clock.unix_time();
        let mut state = lock(&self.state);
        let before = state.bytes;
        let position = Position {
            epoch: self.epoch,
            seq: state.head + 1,
        };
        let event = Arc::new(Event {
            topic: Arc::clone(&self.name),
            position,
            kind: kind.into(),
            data,
            published_at,
        });
        state.head = position.seq;
        state.used_at = now;
        state.bytes += event.size();
        state.history.push_back((now, event));
        let keep = Duration::from_secs(hub.config.history_seconds);
        state.trim(|state| {
            state.history.len() > hub.config.history_events.max(1)
                || state.history.len() > 1 && state.bytes > hub.config.history_bytes
                || state.oldest_is_over(now, keep) && state.history.len() > 1
        });
        for mailbox in state.mailboxes.values() {
            mailbox.notify(&self.name);
        }
        (position, difference(before, state.bytes))
    }

    pub(super) fn join(&self, mailbox: &Arc<Mailbox>) {
        lock(&self.state)
            .mailboxes
            .insert(mailbox.listener, Arc::clone(mailbox));
    }

    pub(super) fn leave(&self, mailbox: &Mailbox, now: Duration) {
        let mut state = lock(&self.state);
        state.used_at = now;
        state.mailboxes.remove(&mailbox.listener);
    }

    /// What stands after `cursor`.
    pub(super) fn after(&self, cursor: u64) -> Found {
        let state = lock(&self.state);
        if cursor >= state.head {
            return Found::Nothing;
        }
        let oldest = state.head + 1 - state.history.len() as u64;
        let next = cursor + 1;
        if next < oldest {
            return Found::Gap(oldest);
        }
        usize::try_from(next - oldest)
            .ok()
            .and_then(|index| state.history.get(index))
            .map_or(Found::Nothing, |(_, event)| {
                Found::Event(Arc::clone(event), next < state.head)
            })
    }

    pub(super) fn head(&self) -> Position {
        Position {
            epoch: self.epoch,
            seq: lock(&self.state).head,
        }
    }

    pub(super) fn listeners(&self) -> usize {
        lock(&self.state).mailboxes.len()
    }

    pub(super) fn wake_all(&self) {
        let mailboxes = std::mem::take(&mut lock(&self.state).mailboxes);
        for mailbox in mailboxes.into_values() {
            mailbox.wake();
        }
    }

    /// Drops events older than `keep`. Tells the bytes freed, and whether the
    /// topic has been idle as long.
    pub(super) fn expire(&self, now: Duration, keep: Duration) -> (isize, bool) {
        let mut state = lock(&self.state);
        let before = state.bytes;
        state.trim(|state| state.oldest_is_over(now, keep));
        let is_idle = state.mailboxes.is_empty() && now.saturating_sub(state.used_at) >= keep;
        (difference(state.bytes, before), is_idle)
    }

    /// Drops the older half of the history, but not the newest event; tells
    /// the bytes freed.
    pub(super) fn halve(&self) -> isize {
        let mut state = lock(&self.state);
        let before = state.bytes;
        let target = state.history.len().div_ceil(2);
        state.trim(|state| state.history.len() > target);
        difference(state.bytes, before)
    }

    /// Drops the whole history; tells the bytes freed.
    pub(super) fn clear(&self) -> isize {
        let mut state = lock(&self.state);
        let before = state.bytes;
        state.trim(|state| !state.history.is_empty());
        difference(state.bytes, before)
    }
}

impl State {
    fn trim(&mut self, is_too_much: impl Fn(&Self) -> bool) {
        while is_too_much(self) {
            let Some((_, event)) = self.history.pop_front() else {
                return;
            };
            self.bytes = self.bytes.saturating_sub(event.size());
        }
    }

    fn oldest_is_over(&self, now: Duration, keep: Duration) -> bool {
        self.history
            .front()
            .is_some_and(|(at, _)| now.saturating_sub(*at) >= keep)
    }
}

/// `to - from`, for sizes of memory, which always fit.
fn difference(from: usize, to: usize) -> isize {
    let signed = |size: usize| isize::try_from(size).unwrap_or(isize::MAX);
    signed(to) - signed(from)
}
