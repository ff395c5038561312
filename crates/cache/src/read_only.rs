//! A handle for services that must not write.

use crate::{Cache, Cached, Key, Stats};

/// Reads a cache and has no method that changes it, so that what a service may
/// not do, the compiler refuses.
#[derive(Debug, Clone)]
pub struct ReadOnlyCache {
    cache: Cache,
}

impl ReadOnlyCache {
    pub(crate) fn new(cache: Cache) -> Self {
        Self { cache }
    }

    /// As [`Cache::get_hot`].
    pub fn get_hot(&self, key: &Key) -> Option<Cached> {
        self.cache.get_hot(key)
    }

    /// As [`Cache::get`].
    pub async fn get(&self, key: &Key) -> Option<Cached> {
        self.cache.get(key).await
    }

    /// As [`Cache::get_stale`].
    pub async fn get_stale(&self, key: &Key) -> Option<Cached> {
        self.cache.get_stale(key).await
    }

    /// As [`Cache::stats`].
    pub fn stats(&self) -> Stats {
        self.cache.stats()
    }
}
