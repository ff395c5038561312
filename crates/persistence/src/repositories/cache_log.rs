//! What operators did to the cache. The cache itself is none of the database's
//! business; that somebody changed it by hand is.

use super::Shared;
use crate::{
    call::Call,
    database::Isolation,
    error::DbError,
    trail::{Actor, Entry, Event},
};
use serde_json::{Value, json};

/// What operators did to the cache.
#[derive(Clone)]
pub struct CacheLog(pub(crate) Shared);

/// Something that an operator does to the cache. Names of entries are not
/// recorded, since they may hold personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheChange {
    /// An entry is stored.
    Written,
    /// Entries are dropped.
    Invalidated {
        /// How many were named.
        keys: usize,
        /// How many tags were named.
        tags: usize,
    },
    /// What the workspace has stored is dropped, or a whole tier.
    Cleared {
        /// The tier.
        tier: Option<&'static str>,
    },
}

impl CacheChange {
    fn told(self) -> (&'static str, Value) {
        match self {
            Self::Written => ("cache.written", json!({})),
            Self::Invalidated { keys, tags } => {
                ("cache.invalidated", json!({"keys": keys, "tags": tags}))
            }
            Self::Cleared { tier } => ("cache.cleared", json!({"tier": tier})),
        }
    }
}

impl CacheLog {
    /// Records a change that is about to be made, and tells listeners.
    ///
    /// # Errors
    /// When the database does not answer; the change must not be made then.
    pub async fn record(&self, call: &Call, change: CacheChange) -> Result<(), DbError> {
        let now = self.0.now();
        let (action, details) = change.told();
        let details = &details;
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let entry = Entry {
                    action,
                    target_type: "cache",
                    target: None,
                    details: details.clone(),
                    event: Some(Event {
                        topic: "cache_events".to_owned(),
                        kind: action,
                        payload: details.clone(),
                    }),
                };
                conn.record(Actor::of(call, now), entry).await
            })
            .await
    }
}
