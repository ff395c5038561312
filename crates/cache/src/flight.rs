//! One load per key at a time: the first caller leads, the others wait for
//! what it brings.

use std::{
    any::Any,
    collections::{HashMap, hash_map},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    Cached,
    key::{BuildDigestHasher, Fingerprint},
};

const SHARDS: usize = 32;

/// What a flight brought.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Answer(Arc<Answer>),
    /// The loader's error, of the type that the leader used.
    Failed(Arc<dyn Any + Send + Sync>),
    TimedOut(Duration),
    Panicked,
}

/// A value and the time that it stands for.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) cached: Cached,
    /// The stamp at which the load of it began.
    pub(crate) version: u64,
    pub(crate) tags: Arc<[u64]>,
}

type Table = HashMap<Fingerprint, watch::Receiver<Option<Outcome>>, BuildDigestHasher>;

/// The loads under way.
#[derive(Debug)]
pub(crate) struct Flights {
    shards: Vec<Mutex<Table>>,
    /// Callers that waited for somebody else's load.
    pub(crate) followed: AtomicU64,
}

/// What a caller has to do.
pub(crate) enum Turn {
    Lead(Lead),
    Follow(Follow),
}

impl Flights {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            followed: AtomicU64::new(0),
        }
    }

    /// Leads the load of `key`, or follows the one under way.
    pub(crate) fn join(self: &Arc<Self>, key: Fingerprint) -> Turn {
        let mut table = self.table(key);
        match table.entry(key) {
            hash_map::Entry::Occupied(flight) => {
                self.followed.fetch_add(1, Ordering::Relaxed);
                Turn::Follow(Follow(flight.get().clone()))
            }
            hash_map::Entry::Vacant(place) => {
                let (sender, receiver) = watch::channel(None);
                place.insert(receiver);
                Turn::Lead(Lead {
                    flights: Arc::clone(self),
                    key,
                    sender,
                })
            }
        }
    }

    /// Leads the load of `key` unless one is under way.
    pub(crate) fn try_lead(self: &Arc<Self>, key: Fingerprint) -> Option<Lead> {
        match self.join(key) {
            Turn::Lead(lead) => Some(lead),
            Turn::Follow(_) => {
                self.followed.fetch_sub(1, Ordering::Relaxed);
                None
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }

    fn table(&self, key: Fingerprint) -> MutexGuard<'_, Table> {
        let index = key.0[8] as usize % SHARDS;
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to load. Dropped without an outcome, as when the leader is
/// cancelled, it passes to one of the followers.
pub(crate) struct Lead {
    flights: Arc<Flights>,
    key: Fingerprint,
    sender: watch::Sender<Option<Outcome>>,
}

impl Lead {
    /// Tells the followers.
    pub(crate) fn finish(self, outcome: Outcome) {
        // Followers that come from here on begin a new flight, those who came
        // before read this one.
        self.sender.send_replace(Some(outcome));
    }

    /// A view of this flight for the leader itself, who hands the duty to a
    /// task of its own.
    pub(crate) fn follow(&self) -> Follow {
        Follow(self.sender.subscribe())
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.table(self.key).remove(&self.key);
    }
}

/// Somebody else's load.
pub(crate) struct Follow(watch::Receiver<Option<Outcome>>);

impl Follow {
    /// What the load brought; `None` when its leader gave up and the caller
    /// may lead.
    pub(crate) async fn outcome(mut self) -> Option<Outcome> {
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => None,
        }
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lead({:?})", self.key)
    }
}
