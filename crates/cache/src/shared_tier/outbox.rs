//! Invalidations that the shared tier could not be told yet.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{key::Fingerprint, stamps::Target};

/// Invalidations that are kept one by one; more become one of everything.
const KEPT: usize = 4096;

#[derive(Debug, Default, Clone)]
pub(super) struct Outbox {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Waiting,
    /// Being told right now, and how many times at once.
    telling: HashMap<Item, usize>,
}

#[derive(Debug, Default)]
struct Waiting {
    items: HashSet<Item>,
    all: bool,
}

/// One invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Key(Fingerprint),
    Tag(u64),
    All,
}

impl From<Target> for Item {
    fn from(target: Target) -> Self {
        match target {
            Target::Tag(tag) => Self::Tag(tag),
            Target::All | Target::Key(_) => Self::All,
        }
    }
}

/// An invalidation that is being told. Unless it [`succeeds`](Self::succeed),
/// also when the telling is cancelled, it waits for the next time.
#[derive(Debug)]
pub(super) struct Telling {
    outbox: Outbox,
    items: Vec<Item>,
}

impl Telling {
    pub(super) fn succeed(mut self) {
        let items = std::mem::take(&mut self.items);
        self.outbox.lock().finish(&items);
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let mut state = self.outbox.lock();
        state.finish(&self.items);
        state.waiting.add(&self.items);
    }
}

impl Outbox {
    pub(super) fn begin(&self, items: impl IntoIterator<Item = Item>) -> Telling {
        let items: Vec<Item> = items.into_iter().collect();
        let mut state = self.lock();
        for item in &items {
            *state.telling.entry(*item).or_insert(0) += 1;
        }
        drop(state);
        Telling {
            outbox: self.clone(),
            items,
        }
    }

    /// Takes some of what waits.
    pub(super) fn next(&self) -> Option<(Telling, Vec<Item>)> {
        let items: Vec<Item> = {
            let mut state = self.lock();
            if std::mem::take(&mut state.waiting.all) {
                vec![Item::All]
            } else {
                let some: Vec<Item> = state.waiting.items.iter().copied().take(256).collect();
                for item in &some {
                    state.waiting.items.remove(item);
                }
                some
            }
        };
        if items.is_empty() {
            return None;
        }
        Some((self.begin(items.clone()), items))
    }

    /// Whether the shared entry of `key` is yet to be invalidated.
    pub(super) fn holds(&self, key: Fingerprint, tags: &[u64]) -> bool {
        let state = self.lock();
        if state.telling.is_empty() && state.waiting.items.is_empty() {
            return state.waiting.all;
        }
        let holds =
            |item: &Item| state.waiting.items.contains(item) || state.telling.contains_key(item);
        state.waiting.all
            || holds(&Item::All)
            || holds(&Item::Key(key))
            || tags.iter().any(|tag| holds(&Item::Tag(*tag)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn finish(&mut self, items: &[Item]) {
        for item in items {
            if let Some(count) = self.telling.get_mut(item) {
                *count -= 1;
                if *count == 0 {
                    self.telling.remove(item);
                }
            }
        }
    }
}

impl Waiting {
    fn add(&mut self, items: &[Item]) {
        self.items.extend(items);
        if self.all || self.items.len() > KEPT || items.contains(&Item::All) {
            self.all = true;
            self.items.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    fn key(number: u32) -> Fingerprint {
        Key::new("test", [number.to_le_bytes()]).fingerprint()
    }

    #[test]
    fn what_was_not_told_waits_and_hides_the_entry_meanwhile() {
        let outbox = Outbox::default();
        let telling = outbox.begin([Item::Key(key(1))]);
        assert!(outbox.holds(key(1), &[]));
        assert!(outbox.next().is_none(), "it is being told");
        drop(telling);
        let (telling, items) = outbox.next().unwrap();
        assert_eq!(items, [Item::Key(key(1))]);
        assert!(outbox.holds(key(1), &[]));
        telling.succeed();
        assert!(!outbox.holds(key(1), &[]));
        assert!(outbox.next().is_none());
    }

    #[test]
    fn too_many_become_one_of_everything() {
        let outbox = Outbox::default();
        for number in 0..5000 {
            drop(outbox.begin([Item::Key(key(number))]));
        }
        assert!(outbox.holds(key(99_999), &[]));
        let (telling, items) = outbox.next().unwrap();
        assert_eq!(items, [Item::All]);
        telling.succeed();
        assert!(!outbox.holds(key(1), &[]));
    }
}
