//! What waits to be written: bounded, and readable meanwhile.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::key::{BuildDigestHasher, Fingerprint};

#[derive(Debug)]
pub(crate) struct WriteQueue {
    limit: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<Fingerprint, Bytes, BuildDigestHasher>,
    order: VecDeque<Fingerprint>,
    /// Of the batch that is being written.
    writing: HashMap<Fingerprint, Bytes, BuildDigestHasher>,
    bytes: usize,
}

impl WriteQueue {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Adds an entry in place of an older one of the same key. `false` when
    /// there is no room.
    pub(crate) fn push(&self, key: Fingerprint, bytes: Bytes) -> bool {
        let mut state = self.lock();
        let before = state.waiting.get(&key).map_or(0, Bytes::len);
        if state.bytes - before + bytes.len() > self.limit {
            return false;
        }
        state.bytes = state.bytes - before + bytes.len();
        if state.waiting.insert(key, bytes).is_none() {
            state.order.push_back(key);
        }
        drop(state);
        self.arrived.notify_one();
        true
    }

    /// The entry of `key` that is not on the disk yet.
    pub(crate) fn get(&self, key: Fingerprint) -> Option<Bytes> {
        let state = self.lock();
        state
            .waiting
            .get(&key)
            .or_else(|| state.writing.get(&key))
            .cloned()
    }

    /// Forgets the entry of `key`.
    pub(crate) fn remove(&self, key: Fingerprint) {
        let mut state = self.lock();
        if let Some(bytes) = state.waiting.remove(&key) {
            state.bytes -= bytes.len();
            // Its place in the order is skipped when its turn comes, unless
            // there are too many such places.
            if state.order.len() > 2 * state.waiting.len() + 64 {
                let State { order, waiting, .. } = &mut *state;
                let mut seen = std::collections::HashSet::new();
                order.retain(|key| waiting.contains_key(key) && seen.insert(*key));
            }
        }
        state.writing.remove(&key);
    }

    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        state.waiting.clear();
        state.order.clear();
        state.writing.clear();
        state.bytes = 0;
    }

    /// Takes up to `limit` bytes of entries in the order of their arrival. They
    /// stay readable until [`written`](Self::written).
    pub(crate) fn take(&self, limit: usize) -> Vec<(Fingerprint, Bytes)> {
        let mut state = self.lock();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < limit {
            let Some(key) = state.order.pop_front() else {
                break;
            };
            let Some(value) = state.waiting.remove(&key) else {
                continue;
            };
            bytes += value.len();
            state.bytes -= value.len();
            state.writing.insert(key, value.clone());
            batch.push((key, value));
        }
        batch
    }

    /// The last batch is on the disk, or given up.
    pub(crate) fn written(&self) {
        self.lock().writing.clear();
    }

    /// Waits until something arrived.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Wakes whoever waits.
    pub(crate) fn wake(&self) {
        self.arrived.notify_one();
    }

    pub(crate) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && state.writing.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    fn key(number: u8) -> Fingerprint {
        Key::new("test", [[number]]).fingerprint()
    }

    #[test]
    fn it_holds_no_more_than_its_limit() {
        let queue = WriteQueue::new(100);
        assert!(queue.push(key(1), Bytes::from(vec![1; 60])));
        assert!(!queue.push(key(2), Bytes::from(vec![2; 60])));
        assert!(
            queue.push(key(1), Bytes::from(vec![3; 90])),
            "the newer takes the older's place"
        );
        assert_eq!(queue.take(1000).len(), 1);
        assert!(queue.push(key(2), Bytes::from(vec![2; 60])));
    }

    #[test]
    fn entries_are_readable_until_they_are_written_and_not_after_removal() {
        let queue = WriteQueue::new(100);
        queue.push(key(1), Bytes::from_static(b"one"));
        queue.push(key(2), Bytes::from_static(b"two"));
        let batch = queue.take(1000);
        assert_eq!(batch.len(), 2);
        assert!(queue.get(key(1)).is_some());
        queue.remove(key(1));
        assert!(queue.get(key(1)).is_none());
        queue.written();
        assert!(queue.get(key(2)).is_none());
        assert!(queue.is_empty());
    }

    #[test]
    fn the_order_does_not_grow_with_removals() {
        let queue = WriteQueue::new(1000);
        for _ in 0..10_000 {
            queue.push(key(1), Bytes::from_static(b"one"));
            queue.remove(key(1));
        }
        assert!(queue.lock().order.len() < 200);
        assert_eq!(queue.lock().bytes, 0);
    }
}
