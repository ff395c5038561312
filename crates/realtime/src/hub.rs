//! Topics: named logs of events that listeners follow.
//!
//! A topic keeps a bounded piece of its history, and that history is also
//! what live listeners read from: publishing appends once and wakes, however
//! many listen. A listener that falls behind the kept history is told which
//! events it lost.

mod listener;
mod topic;

use crate::{
    lock::{lock, read, write},
    position::{Epoch, Position},
};
use bytes::Bytes;
use listener::Mailbox;
pub use listener::{Delivery, Listener, SubscribeError, Subscribed};
use mainstay_resilience::SharedClock;
use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use topic::Topic;

/// How much of the topics is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HubConfig {
    /// The most topics. Default 50,000.
    pub max_topics: usize,
    /// The most topics of one listener. Default 100.
    pub max_per_listener: usize,
    /// The longest topic name in bytes. Default 128.
    pub max_name_bytes: usize,
    /// The most events that a topic keeps. Default 512.
    pub history_events: usize,
    /// The most bytes that a topic keeps. Default 256 KiB. The newest event is
    /// kept whatever its size.
    pub history_bytes: usize,
    /// How long a topic keeps an event, and how long a topic that nobody
    /// listens to is remembered, in seconds. Default 300.
    pub history_seconds: u64,
    /// The most bytes that all topics keep together. Default 64 MiB. Beyond
    /// it every topic gives up the older half of its history, and more if
    /// that is not enough; listeners are told what they lost by it.
    pub total_bytes: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            max_topics: 50_000,
            max_per_listener: 100,
            max_name_bytes: 128,
            history_events: 512,
            history_bytes: 256 * 1024,
            history_seconds: 300,
            total_bytes: 64 * 1024 * 1024,
        }
    }
}

/// An event of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The topic.
    pub topic: Arc<str>,
    /// Its place in the topic.
    pub position: Position,
    /// What kind of event it is.
    pub kind: Arc<str>,
    /// Its content, encoded once for all who listen.
    pub data: Bytes,
    /// When it was published, as wall time since the Unix epoch.
    pub published_at: Duration,
}

impl Event {
    /// The memory that the event takes, about.
    fn size(&self) -> usize {
        const OVERHEAD: usize = 128;
        self.data.len() + self.kind.len() + OVERHEAD
    }
}

/// What is held, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HubStats {
    /// Topics.
    pub topics: usize,
    /// Subscriptions of all listeners.
    pub subscriptions: usize,
    /// Bytes of history.
    pub bytes: usize,
    /// Events published since the start.
    pub published: u64,
    /// Events that a listener was too slow for, counted per listener.
    pub lagged: u64,
}

/// All topics of a process. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    config: HubConfig,
    clock: SharedClock,
    topics: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
    /// Makes epochs that no other hub and no other life of a topic has.
    epochs: RandomState,
    lives: AtomicU64,
    listeners: AtomicU64,
    bytes: AtomicUsize,
    published: AtomicU64,
    lagged: AtomicU64,
    collected_at: Mutex<Duration>,
    closed: AtomicBool,
}

impl Hub {
    /// A hub without topics.
    #[must_use]
    pub fn new(config: HubConfig, clock: SharedClock) -> Self {
        let now = clock.now();
        Self {
            inner: Arc::new(Inner {
                config,
                clock,
                topics: RwLock::default(),
                epochs: RandomState::new(),
                lives: AtomicU64::new(0),
                listeners: AtomicU64::new(0),
                bytes: AtomicUsize::new(0),
                published: AtomicU64::new(0),
                lagged: AtomicU64::new(0),
                collected_at: Mutex::new(now),
                closed: AtomicBool::new(false),
            }),
        }
    }

    /// Publishes to all who listen to `topic`, now or soon again. `None` when
    /// nobody does and nobody did lately: the event then goes nowhere.
    pub fn publish(&self, topic: &str, kind: &str, data: impl Into<Bytes>) -> Option<Position> {
        let inner = &self.inner;
        inner.collect_now_and_then();
        let topic = read(&inner.topics).get(topic).map(Arc::clone)?;
        let (position, change) = topic.publish(kind, data.into(), inner);
        inner.published.fetch_add(1, Ordering::Relaxed);
        inner.account(change);
        if inner.bytes.load(Ordering::Relaxed) > inner.config.total_bytes {
            inner.shrink_history(&topic);
        }
        Some(position)
    }

    /// A listener without topics.
    #[must_use]
    pub fn listener(&self) -> Listener {
        Listener::new(self.clone())
    }

    /// A listener to one topic; see [`Listener::subscribe`].
    ///
    /// # Errors
    /// [`SubscribeError`] when the name is too long or there are too many topics.
    pub fn subscribe(
        &self,
        topic: &str,
        after: Option<Position>,
    ) -> Result<(Subscribed, Listener), SubscribeError> {
        let mut listener = self.listener();
        let subscribed = listener.subscribe(topic, after)?;
        Ok((subscribed, listener))
    }

    /// Where the topic stands: the position of its newest event.
    #[must_use]
    pub fn position(&self, topic: &str) -> Option<Position> {
        read(&self.inner.topics)
            .get(topic)
            .map(|topic| topic.head())
    }

    /// How many listen to the topic.
    #[must_use]
    pub fn listeners(&self, topic: &str) -> usize {
        read(&self.inner.topics)
            .get(topic)
            .map_or(0, |topic| topic.listeners())
    }

    /// Ends every listener: [`Listener::next`] then gives what is left and
    /// `None`. Events published from now on go nowhere.
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        let topics: Vec<_> = write(&self.inner.topics).drain().collect();
        for (_, topic) in topics {
            topic.wake_all();
        }
    }

    /// Forgets expired events, and topics that nobody listens to. The hub does
    /// it by itself while it is used; a periodic call keeps an idle one small.
    pub fn collect(&self) {
        self.inner.collect();
    }

    /// What is held now.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let inner = &self.inner;
        let topics = read(&inner.topics);
        HubStats {
            topics: topics.len(),
            subscriptions: topics.values().map(|topic| topic.listeners()).sum(),
            bytes: inner.bytes.load(Ordering::Relaxed),
            published: inner.published.load(Ordering::Relaxed),
            lagged: inner.lagged.load(Ordering::Relaxed),
        }
    }
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The topic, made when it is not there, with `mailbox` joined to it. Both
    /// happen under the registry's lock, so that a topic is never collected
    /// between being found and being joined.
    fn join(&self, name: &str, mailbox: &Arc<Mailbox>) -> Result<Arc<Topic>, SubscribeError> {
        if name.is_empty() || name.len() > self.config.max_name_bytes {
            return Err(SubscribeError::BadName);
        }
        self.collect_now_and_then();
        if let Some(topic) = read(&self.topics).get(name) {
            topic.join(mailbox);
            return Ok(Arc::clone(topic));
        }
        if read(&self.topics).len() >= self.config.max_topics {
            self.collect();
        }
        let mut topics = write(&self.topics);
        // Checked under the lock: nothing joins a hub after it was closed.
        if self.is_closed() {
            return Err(SubscribeError::Closed);
        }
        if let Some(topic) = topics.get(name) {
            topic.join(mailbox);
            return Ok(Arc::clone(topic));
        }
        if topics.len() >= self.config.max_topics {
            return Err(SubscribeError::TooManyTopics);
        }
        let name: Arc<str> = name.into();
        let life = self.lives.fetch_add(1, Ordering::Relaxed);
        let epoch = Epoch(self.epochs.hash_one((self.clock.unix_time(), life)));
        let topic = Arc::new(Topic::new(Arc::clone(&name), epoch, self.clock.now()));
        topic.join(mailbox);
        topics.insert(name, Arc::clone(&topic));
        Ok(topic)
    }

    fn collect_now_and_then(&self) {
        const EVERY: Duration = Duration::from_secs(30);
        let is_due = {
            let now = self.clock.now();
            let mut collected_at = lock(&self.collected_at);
            let is_due = now.saturating_sub(*collected_at) >= EVERY;
            if is_due {
                *collected_at = now;
            }
            is_due
        };
        if is_due {
            self.collect();
        }
    }

    fn collect(&self) {
        let now = self.clock.now();
        let keep = Duration::from_secs(self.config.history_seconds);
        write(&self.topics).retain(|_, topic| {
            let (freed, is_idle) = topic.expire(now, keep);
            self.account(-freed);
            if is_idle {
                // Whoever comes back to the name finds a new epoch.
                self.account(-topic.clear());
            }
            !is_idle
        });
    }

    /// Brings all histories together within their bound: by the older half of
    /// each, and if that is not enough by all but what was `just_published`.
    fn shrink_history(&self, just_published: &Arc<Topic>) {
        let topics = read(&self.topics);
        for topic in topics.values() {
            self.account(-topic.halve());
        }
        if self.bytes.load(Ordering::Relaxed) > self.config.total_bytes {
            for topic in topics.values() {
                if !Arc::ptr_eq(topic, just_published) {
                    self.account(-topic.clear());
                }
            }
        }
    }

    fn account(&self, change: isize) {
        if change >= 0 {
            self.bytes
                .fetch_add(change.unsigned_abs(), Ordering::Relaxed);
        } else {
            self.bytes
                .fetch_sub(change.unsigned_abs(), Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}
