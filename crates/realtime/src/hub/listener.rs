//! Listeners: one reader of any number of topics, as one connection needs it.

use super::{
    Event, Hub,
    topic::{Found, Topic},
};
use crate::{
    lock::lock,
    position::{Epoch, Position},
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, atomic::Ordering},
};
use tokio::sync::Notify;

/// What a listener is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The next event of one of its topics.
    Event(Arc<Event>),
    /// Events that are gone before the listener read them. The next event of
    /// the topic is the one after `to`.
    Lagged {
        /// The topic.
        topic: Arc<str>,
        /// The topic's epoch.
        epoch: Epoch,
        /// The number of the first event that is gone.
        from: u64,
        /// The number of the last event that is gone.
        to: u64,
    },
}

/// The answer to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribed {
    /// The topic's epoch.
    pub epoch: Epoch,
    /// The position from which on events are delivered.
    pub seq: u64,
    /// With a position to come back to: whether everything after it will be
    /// delivered. Without one: `true`, since nothing is missed.
    pub recovered: bool,
}

/// Why a topic cannot be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeError {
    /// The name is empty or too long.
    BadName,
    /// The listener has as many topics as it may.
    TooManySubscriptions,
    /// There are as many topics as there may be.
    TooManyTopics,
    /// The hub is closed.
    Closed,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadName => "the topic's name is empty or too long",
            Self::TooManySubscriptions => "too many topics are subscribed to",
            Self::TooManyTopics => "there are too many topics",
            Self::Closed => "the hub is closed",
        })
    }
}

impl std::error::Error for SubscribeError {}

/// Where topics tell a listener that they have something for it.
pub(super) struct Mailbox {
    /// The listener's number, unique in its hub.
    pub(super) listener: u64,
    ready: Mutex<Ready>,
    changed: Notify,
}

/// The topics that may have something new, each at most once, in the order in
/// which they are served.
#[derive(Default)]
struct Ready {
    order: VecDeque<Arc<str>>,
    queued: HashSet<Arc<str>>,
}

impl Mailbox {
    /// Puts the topic into the line and wakes the listener.
    pub(super) fn notify(&self, topic: &Arc<str>) {
        {
            let mut ready = lock(&self.ready);
            if !ready.queued.insert(Arc::clone(topic)) {
                return;
            }
            ready.order.push_back(Arc::clone(topic));
        }
        self.changed.notify_one();
    }

    /// Wakes the listener for something other than an event.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    fn pop(&self) -> Option<Arc<str>> {
        let mut ready = lock(&self.ready);
        let topic = ready.order.pop_front()?;
        ready.queued.remove(&topic);
        Some(topic)
    }
}

/// Follows any number of topics. Topics take turns, so that a busy one does
/// not hold back the others; within a topic events come in order.
pub struct Listener {
    hub: Hub,
    mailbox: Arc<Mailbox>,
    topics: HashMap<Arc<str>, Followed>,
}

struct Followed {
    topic: Arc<Topic>,
    /// The number of the last event that was delivered.
    cursor: u64,
}

impl Listener {
    pub(super) fn new(hub: Hub) -> Self {
        let listener = hub.inner.listeners.fetch_add(1, Ordering::Relaxed);
        Self {
            hub,
            mailbox: Arc::new(Mailbox {
                listener,
                ready: Mutex::default(),
                changed: Notify::new(),
            }),
            topics: HashMap::new(),
        }
    }

    /// Follows a topic: from now on, or from `after` on if that is still
    /// possible. If it is not, the answer says `recovered: false` and events
    /// come from now on. Subscribing again moves to the new position.
    ///
    /// # Errors
    /// [`SubscribeError`] when the name or the number of topics is not allowed.
    pub fn subscribe(
        &mut self,
        topic: &str,
        after: Option<Position>,
    ) -> Result<Subscribed, SubscribeError> {
        let followed = match self.topics.get_mut(topic) {
            Some(followed) => followed,
            None => {
                if self.topics.len() >= self.hub.inner.config.max_per_listener {
                    return Err(SubscribeError::TooManySubscriptions);
                }
                let topic = self.hub.inner.join(topic, &self.mailbox)?;
                self.topics
                    .entry(Arc::clone(&topic.name))
                    .or_insert(Followed { topic, cursor: 0 })
            }
        };
        let topic = &followed.topic;
        let head = topic.head();
        let recovered = match after {
            None => true,
            Some(after) => {
                after.epoch == head.epoch
                    && after.seq <= head.seq
                    && !matches!(topic.after(after.seq), Found::Gap(_))
            }
        };
        followed.cursor = match after {
            Some(after) if recovered => after.seq,
            _ => head.seq,
        };
        self.mailbox.notify(&topic.name);
        Ok(Subscribed {
            epoch: head.epoch,
            seq: followed.cursor,
            recovered,
        })
    }

    /// Stops following a topic. `false` when it was not followed.
    pub fn unsubscribe(&mut self, topic: &str) -> bool {
        let Some(followed) = self.topics.remove(topic) else {
            return false;
        };
        followed
            .topic
            .leave(&self.mailbox, self.hub.inner.clock.now());
        true
    }

    /// The next event or gap of any of the topics. `None` when the hub is
    /// closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.try_next() {
                return Some(delivery);
            }
            if self.hub.inner.is_closed() {
                return None;
            }
            // `notify_one` stores a permit, so nothing that happens between
            // the checks and this wait is missed.
            self.mailbox.changed.notified().await;
        }
    }

    /// The next event or gap, if there is one.
    pub fn try_next(&mut self) -> Option<Delivery> {
        while let Some(name) = self.mailbox.pop() {
            // The topic may have been left since.
            let Some(followed) = self.topics.get_mut(&name) else {
                continue;
            };
            match followed.topic.after(followed.cursor) {
                Found::Nothing => {}
                Found::Event(event, more) => {
                    followed.cursor = event.position.seq;
                    if more {
                        self.mailbox.notify(&name);
                    }
                    return Some(Delivery::Event(event));
                }
                Found::Gap(oldest) => {
                    let from = followed.cursor + 1;
                    followed.cursor = oldest - 1;
                    self.mailbox.notify(&name);
                    let lost = oldest - from;
                    self.hub.inner.lagged.fetch_add(lost, Ordering::Relaxed);
                    return Some(Delivery::Lagged {
                        epoch: followed.topic.epoch,
                        topic: name,
                        from,
                        to: oldest - 1,
                    });
                }
            }
        }
        None
    }

    /// The topics that are followed, with the position of the last event that
    /// was delivered of each.
    pub fn topics(&self) -> impl Iterator<Item = (&str, Position)> {
        self.topics.iter().map(|(name, followed)| {
            let position = Position {
                epoch: followed.topic.epoch,
                seq: followed.cursor,
            };
            (&**name, position)
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let now = self.hub.inner.clock.now();
        for followed in self.topics.values() {
            followed.topic.leave(&self.mailbox, now);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("topics", &self.topics.len())
            .finish_non_exhaustive()
    }
}
