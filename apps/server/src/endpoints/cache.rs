//! The cache, for those who run the workspace.

mod clear;
mod entry;
mod invalidate;
mod stats;

use crate::{operation::Operation, problem::Problem};
use mainstay_cache::Invalidated;
use schemars::JsonSchema;
use serde::Serialize;

/// The area's operations.
pub(crate) fn operations() -> Vec<Operation> {
    vec![
        stats::operation(),
        invalidate::operation(),
        clear::operation(),
        entry::get(),
        entry::put(),
        entry::delete(),
    ]
}

/// How far a change of the cache has come.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CacheChanged {
    /// Whether every other instance knows of it already; otherwise Redis is
    /// away, and they are told once it is back.
    told_everywhere: bool,
    /// Whether it survives a restart of this instance; otherwise the disk is sick.
    durable: bool,
}

impl From<Invalidated> for CacheChanged {
    fn from(done: Invalidated) -> Self {
        Self {
            told_everywhere: done.shared,
            durable: done.durable,
        }
    }
}

/// The most characters of a name.
const LONGEST: usize = 200;

/// What names and tags of entries may look like: they stand in paths and logs.
fn check_name(pointer: &str, name: &str) -> Result<(), Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if (1..=LONGEST).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(Problem::field(
        pointer,
        "must be 1 to 200 of a-z, A-Z, 0-9 and -_.:",
    ))
}

/// The same for several.
fn check_names(pointer: &str, names: &[String]) -> Result<(), Problem> {
    names
        .iter()
        .enumerate()
        .try_for_each(|(index, name)| check_name(&format!("{pointer}/{index}"), name))
}
