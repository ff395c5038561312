//! Private Postgres and Redis servers: found or installed, started, stopped.

pub(crate) mod account;
mod binaries;
mod install;
pub(crate) mod postgres;
mod random;
pub(crate) mod redis;

pub(crate) use binaries::Binaries;
pub(crate) use postgres::Postgres;
pub(crate) use random::free_port;
pub(crate) use redis::Redis;

use std::path::Path;

/// Ends whatever a killed run left running on the servers' files below `directory`.
pub(crate) fn end_orphans(directory: &Path) {
    let homes = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for home in homes.map(|entry| entry.path()) {
        postgres::end_orphan(&home.join("data"));
        redis::end_orphan(&home);
    }
}
