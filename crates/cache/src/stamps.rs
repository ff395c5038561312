//! When what was invalidated: the order in which loads, writes and
//! invalidations happened in this process.
//!
//! A stamp is a logical time. Every entry carries the stamp at which its load
//! *began*; an invalidation takes a new stamp and makes everything of its key
//! or tag with an older one invisible. So a load that began before an
//! invalidation cannot bring the old value back, however late it ends.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::key::BuildDigestHasher;

/// Stamps are `epoch << EPOCH_SHIFT | count`; the epoch grows with every
/// opening of a disk tier, so that stamps of one process never meet those of
/// the next.
pub(crate) const EPOCH_SHIFT: u32 = 40;

/// Keys and tags that are remembered one by one; beyond it the older half is
/// replaced by one floor.
const REMEMBERED: usize = 65_536;

/// What was invalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Key(u64),
    Tag(u64),
    All,
}

#[derive(Debug)]
pub(crate) struct Stamps {
    counter: AtomicU64,
    /// The newest stamp of a tag or of everything: entries that are newer need
    /// no look into the tables.
    lazy: AtomicU64,
    tables: RwLock<Tables>,
    capacity: usize,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Tables {
    pub(crate) keys: HashMap<u64, u64, BuildDigestHasher>,
    pub(crate) tags: HashMap<u64, u64, BuildDigestHasher>,
    /// Everything up to here is invisible.
    pub(crate) floor: u64,
}

impl Stamps {
    pub(crate) fn new() -> Self {
        Self {
            counter: AtomicU64::new(0),
            lazy: AtomicU64::new(0),
            tables: RwLock::new(Tables::default()),
            capacity: REMEMBERED,
        }
    }

    #[cfg(test)]
    fn with_capacity(capacity: usize) -> Self {
        Self {
            capacity,
            ..Self::new()
        }
    }

    /// A stamp later than all before it.
    pub(crate) fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The last stamp that was taken.
    pub(crate) fn now(&self) -> u64 {
        self.counter.load(Ordering::Acquire)
    }

    /// The newest stamp of a tag or of everything.
    pub(crate) fn lazy(&self) -> u64 {
        self.lazy.load(Ordering::Acquire)
    }

    /// Makes everything of `target` so far invisible and returns the stamp of
    /// it.
    pub(crate) fn invalidate(&self, target: Target) -> u64 {
        let mut tables = self.write();
        // Taken under the lock, so that the tables never run behind a stamp
        // that somebody has seen.
        let stamp = self.next();
        match target {
            Target::Key(key) => {
                tables.keys.insert(key, stamp);
            }
            Target::Tag(tag) => {
                tables.tags.insert(tag, stamp);
                self.lazy.fetch_max(stamp, Ordering::AcqRel);
            }
            Target::All => {
                tables.keys.clear();
                tables.tags.clear();
                tables.floor = stamp;
                self.lazy.fetch_max(stamp, Ordering::AcqRel);
            }
        }
        if tables.keys.len() > self.capacity || tables.tags.len() > self.capacity {
            tables.forget_older_half();
            self.lazy.fetch_max(tables.floor, Ordering::AcqRel);
        }
        stamp
    }

    /// Whether something of `tags`, or everything, was invalidated after
    /// `stamp`.
    pub(crate) fn tags_outdated(&self, tags: &[u64], stamp: u64) -> bool {
        self.lazy() > stamp && self.newest_of_tags(tags) > stamp
    }

    fn newest_of_tags(&self, tags: &[u64]) -> u64 {
        self.read().newest_of_tags(tags)
    }

    /// Whether the key, one of `tags` or everything was invalidated after
    /// `stamp`.
    pub(crate) fn outdated(&self, key: u64, tags: &[u64], stamp: u64) -> bool {
        self.newest(key, tags) > stamp
    }

    /// The newest invalidation that concerns the key or one of `tags`.
    pub(crate) fn newest(&self, key: u64, tags: &[u64]) -> u64 {
        let tables = self.read();
        let of_key = tables.keys.get(&key).copied().unwrap_or(0);
        tables.newest_of_tags(tags).max(of_key)
    }

    /// A copy of all that is remembered, for the journal.
    pub(crate) fn tables(&self) -> Tables {
        self.read().clone()
    }

    /// Moves on to `epoch` and adds what an earlier process remembered, as a
    /// disk tier opens. What this process invalidated before that counts as
    /// later than everything on that disk.
    pub(crate) fn adopt(&self, epoch: u64, earlier: &Tables) {
        let mut tables = self.write();
        let start = epoch << EPOCH_SHIFT;
        if self.counter.fetch_max(start, Ordering::AcqRel) < start {
            tables.keys.values_mut().for_each(|stamp| *stamp = start);
            tables.tags.values_mut().for_each(|stamp| *stamp = start);
            if tables.floor > 0 {
                tables.floor = start;
            }
        }
        for (key, stamp) in &earlier.keys {
            let known = tables.keys.entry(*key).or_insert(0);
            *known = (*known).max(*stamp);
        }
        for (tag, stamp) in &earlier.tags {
            let known = tables.tags.entry(*tag).or_insert(0);
            *known = (*known).max(*stamp);
        }
        tables.floor = tables.floor.max(earlier.floor);
        let lazy = tables
            .tags
            .values()
            .copied()
            .max()
            .unwrap_or(0)
            .max(tables.floor);
        self.lazy.fetch_max(lazy, Ordering::AcqRel);
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn newest_of_tags(&self, tags: &[u64]) -> u64 {
        tags.iter()
            .filter_map(|tag| self.tags.get(tag).copied())
            .max()
            .unwrap_or(0)
            .max(self.floor)
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len() + self.tags.len()
    }

    /// Raises the floor to the middle stamp and forgets what lies below: some
    /// entries become invisible without need, none becomes visible again.
    fn forget_older_half(&mut self) {
        let mut stamps: Vec<u64> = self
            .keys
            .values()
            .chain(self.tags.values())
            .copied()
            .collect();
        let middle = stamps.len() / 2;
        let (_, middle, _) = stamps.select_nth_unstable(middle);
        self.floor = self.floor.max(*middle);
        let floor = self.floor;
        self.keys.retain(|_, stamp| *stamp > floor);
        self.tags.retain(|_, stamp| *stamp > floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalidation_hides_what_began_before_it_and_nothing_that_began_after() {
        let stamps = Stamps::new();
        let before = stamps.next();
        stamps.invalidate(Target::Key(7));
        let after = stamps.next();
        assert!(stamps.outdated(7, &[], before));
        assert!(!stamps.outdated(7, &[], after));
        assert!(!stamps.outdated(8, &[], before), "another key is untouched");
    }

    #[test]
    fn a_tag_hides_only_entries_that_carry_it() {
        let stamps = Stamps::new();
        let before = stamps.next();
        stamps.invalidate(Target::Tag(3));
        assert!(stamps.tags_outdated(&[1, 3], before));
        assert!(!stamps.tags_outdated(&[1], before));
        assert!(!stamps.tags_outdated(&[3], stamps.next()));
    }

    #[test]
    fn everything_hides_everything() {
        let stamps = Stamps::new();
        let before = stamps.next();
        stamps.invalidate(Target::All);
        assert!(stamps.outdated(1, &[], before));
        assert!(stamps.tags_outdated(&[], before));
    }

    #[test]
    fn forgetting_makes_nothing_visible_again() {
        let stamps = Stamps::with_capacity(100);
        let mut born = Vec::new();
        for key in 0..1000_u64 {
            born.push((key, stamps.next()));
            stamps.invalidate(Target::Key(key));
        }
        assert!(stamps.tables().len() <= 100);
        for (key, stamp) in born {
            assert!(stamps.outdated(key, &[], stamp), "key {key} came back");
        }
        let fresh = stamps.next();
        assert!(!stamps.outdated(5, &[], fresh));
    }

    #[test]
    fn a_new_epoch_is_later_than_all_stamps_of_the_last() {
        let old = Stamps::new();
        old.adopt(4, &Tables::default());
        let last = old.invalidate(Target::Key(1));
        let new = Stamps::new();
        new.adopt(5, &old.tables());
        assert!(new.next() > last);
        assert!(new.outdated(1, &[], last - 1));
    }

    #[test]
    fn what_was_invalidated_before_the_disk_opened_stays_invalid_on_it() {
        let stamps = Stamps::new();
        stamps.invalidate(Target::Key(1));
        stamps.invalidate(Target::Tag(2));
        let on_disk = (8 << EPOCH_SHIFT) + 17;
        stamps.adopt(9, &Tables::default());
        assert!(stamps.outdated(1, &[], on_disk));
        assert!(stamps.tags_outdated(&[2], on_disk));
    }
}
