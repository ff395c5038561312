//! The order in which tags were invalidated in the shared tier.
//!
//! The server counts invalidations of tags; no instance's clock takes part. An
//! entry carries the count that its loader knew when the load began, so that a
//! later invalidation of one of its tags makes it invisible everywhere. The
//! table belongs to a generation: when the server loses it, all entries of the
//! old generation are misses.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use mainstay_redis::Value;

#[derive(Debug, Default)]
pub(super) struct Order {
    table: RwLock<Table>,
}

#[derive(Debug, Default, Clone)]
struct Table {
    generation: u64,
    seen: u64,
    floor: u64,
    tags: HashMap<u64, u64>,
}

impl Order {
    /// Takes over the server's table, as `HGETALL` gives it. `None` if it
    /// makes no sense.
    pub(super) fn load(&self, answer: &Value) -> Option<()> {
        let mut table = Table::default();
        let pairs = answer.as_array()?;
        for pair in pairs.chunks_exact(2) {
            let field = std::str::from_utf8(pair[0].as_bytes()?).ok()?;
            let value = std::str::from_utf8(pair[1].as_bytes()?).ok()?;
            match field.split_at_checked(2) {
                Some(("t:", tag)) => {
                    table
                        .tags
                        .insert(u64::from_str_radix(tag, 16).ok()?, value.parse().ok()?);
                }
                _ => match field {
                    "generation" => table.generation = u64::from_str_radix(value, 16).ok()?,
                    "seq" => table.seen = value.parse().ok()?,
                    "floor" => table.floor = value.parse().ok()?,
                    _ => {}
                },
            }
        }
        if table.generation == 0 {
            return None;
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        Some(())
    }

    pub(super) fn tag_invalidated(&self, tag: u64, at: u64) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let known = table.tags.entry(tag).or_insert(0);
        *known = (*known).max(at);
        table.seen = table.seen.max(at);
    }

    /// The order is known up to here.
    pub(super) fn reached(&self, at: u64) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.seen = table.seen.max(at);
    }

    pub(super) fn all_invalidated(&self, at: u64) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.floor = table.floor.max(at);
        table.seen = table.seen.max(at);
        let floor = table.floor;
        table.tags.retain(|_, seen| *seen > floor);
    }

    pub(super) fn generation(&self) -> u64 {
        self.read().generation
    }

    /// The newest invalidation that is known here.
    pub(super) fn seen(&self) -> u64 {
        self.read().seen
    }

    /// Whether an entry loaded at `position` is still good.
    pub(super) fn is_current(&self, generation: u64, tags: &[u64], position: u64) -> bool {
        let table = self.read();
        generation == table.generation
            && table.floor <= position
            && !tags
                .iter()
                .any(|tag| table.tags.get(tag).is_some_and(|at| *at > position))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}
