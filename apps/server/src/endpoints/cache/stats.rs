//! GET `/api/v1/cache/stats`.

use crate::{
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
};
use actix_web::http::Method;
use mainstay_cache::{ReadOnlyCache, TierStats};
use mainstay_identity::Permission;
use schemars::JsonSchema;
use serde::Serialize;

/// What this instance's cache has done since it started, and how it is now.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CacheStats")]
pub(super) struct StatsBody {
    /// The share of reads that some tier answered lately; null before the first.
    hit_rate: Option<f64>,
    /// Reads that some tier answered.
    hits: u64,
    /// Reads that none did.
    misses: u64,
    /// Values served past their freshness, for want of better.
    stale_served: u64,
    /// Times that a value was made anew.
    loads: u64,
    /// Times that this failed.
    load_failures: u64,
    /// Memory.
    hot: TierBody,
    /// Disk; null when it is switched off.
    warm: Option<TierBody>,
    /// Redis; null when there is none.
    shared: Option<TierBody>,
}

/// What a tier has done, and how it is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CacheTier")]
pub(super) struct TierBody {
    /// Its state, such as `up`.
    state: &'static str,
    /// Whether it is in use.
    up: bool,
    /// When a tier that is out of use is tried again, in seconds.
    retry_after_seconds: Option<u64>,
    /// Reads that it answered.
    hits: u64,
    /// Reads that it did not.
    misses: u64,
    /// Entries that it had past their freshness.
    stale: u64,
    /// Failures, time limits included.
    errors: u64,
    /// Entries that were cut off, flipped or not authentic.
    damaged: u64,
    /// Entries that made room for others; counted in memory.
    evictions: u64,
    /// Entries written.
    writes: u64,
    /// Entries not written because it could not take them.
    dropped: u64,
    /// Bytes in use in memory; bytes written to disk.
    bytes: u64,
    /// Entries, where they are counted.
    entries: Option<u64>,
    /// Bytes that it may hold, where that is bounded here.
    capacity: Option<u64>,
}

impl From<TierStats> for TierBody {
    fn from(tier: TierStats) -> Self {
        Self {
            state: tier.state,
            up: tier.up,
            retry_after_seconds: tier.retry_after.map(|after| after.as_secs()),
            hits: tier.hits,
            misses: tier.misses,
            stale: tier.stale,
            errors: tier.errors,
            damaged: tier.damaged,
            evictions: tier.evictions,
            writes: tier.writes,
            dropped: tier.dropped,
            bytes: tier.bytes,
            entries: tier.entries,
            capacity: tier.capacity,
        }
    }
}

pub(super) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/cache/stats",
        "cache.stats",
        Access::Requires(Permission::ManageCache),
        stats,
    )
    .summary("The cache of this instance in numbers, tier by tier")
}

async fn stats(cache: ReadOnlyCache) -> Result<Json<StatsBody>, Problem> {
    let stats = cache.stats();
    Ok(Json(StatsBody {
        hit_rate: stats.hit_rate,
        hits: stats.hits,
        misses: stats.misses,
        stale_served: stats.stale_served,
        loads: stats.loads,
        load_failures: stats.load_failures,
        hot: stats.hot.into(),
        warm: stats.warm.map(Into::into),
        shared: stats.shared.map(Into::into),
    }))
}
