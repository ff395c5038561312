//! Invalidations that the shared tier could not be told yet.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{key::Fingerprint, stamps::Target};

/// Invalidations that are kept one by one; more become one of everything.
const KEPT: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    keys: HashSet<Fingerprint>,
    tags: HashSet<u64>,
    all: bool,
}

impl Outbox {
    pub(super) fn add_keys(&self, keys: &[Fingerprint]) {
        let mut waiting = self.lock();
        waiting.keys.extend(keys);
        waiting.bound();
    }

    pub(super) fn add(&self, target: Target) {
        let mut waiting = self.lock();
        match target {
            Target::Tag(tag) => drop(waiting.tags.insert(tag)),
            Target::All | Target::Key(_) => waiting.all = true,
        }
        waiting.bound();
    }

    /// Whether the shared entry of `key` waits to be invalidated.
    pub(super) fn holds(&self, key: Fingerprint, tags: &[u64]) -> bool {
        let waiting = self.lock();
        waiting.all
            || waiting.keys.contains(&key)
            || tags.iter().any(|tag| waiting.tags.contains(tag))
    }

    pub(super) fn is_empty(&self) -> bool {
        let waiting = self.lock();
        !waiting.all && waiting.keys.is_empty() && waiting.tags.is_empty()
    }

    /// What waits, without taking it out.
    pub(super) fn peek(&self) -> (Vec<Fingerprint>, Vec<Target>) {
        let waiting = self.lock();
        if waiting.all {
            return (Vec::new(), vec![Target::All]);
        }
        let keys = waiting.keys.iter().copied().take(256).collect();
        let tags = waiting
            .tags
            .iter()
            .copied()
            .take(256)
            .map(Target::Tag)
            .collect();
        (keys, tags)
    }

    /// These were told. Told twice is no harm, so what came again meanwhile
    /// may go too: it was told after it came.
    pub(super) fn told(&self, keys: &[Fingerprint], targets: &[Target]) {
        let mut waiting = self.lock();
        for key in keys {
            waiting.keys.remove(key);
        }
        for target in targets {
            match target {
                Target::Tag(tag) => drop(waiting.tags.remove(tag)),
                Target::All => *waiting = Waiting::default(),
                Target::Key(_) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn bound(&mut self) {
        if self.all || self.keys.len() + self.tags.len() > KEPT {
            self.all = true;
            self.keys.clear();
            self.tags.clear();
        }
    }
}
