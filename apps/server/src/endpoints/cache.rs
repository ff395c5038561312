//! Administration of the cache.

use crate::{
    extract::ApiJson,
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
};
use actix_web::http::Method;
use mainstay_cache::{Cache, Invalidated, ReadOnlyCache, Tier, TierStats};
use mainstay_identity::Permission;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MANAGES: Access = Access::Requires(Permission::ManageCache);

/// One tier.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CacheTier")]
pub(crate) struct TierBody {
    /// Its state, such as `up`.
    state: &'static str,
    /// Whether it is in use.
    up: bool,
    /// Reads that it answered.
    hits: u64,
    /// Reads that it did not.
    misses: u64,
    /// Failures.
    errors: u64,
    /// Bytes that it holds.
    bytes: u64,
    /// Entries, where they are counted.
    entries: Option<u64>,
    /// Bytes that it may hold, where that is bounded here.
    capacity: Option<u64>,
}

/// The cache in numbers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CacheStats")]
pub(crate) struct StatsBody {
    /// The share of reads that some tier answered lately; null before the first.
    hit_rate: Option<f64>,
    /// Reads that some tier answered.
    hits: u64,
    /// Reads that none did.
    misses: u64,
    /// Loads from the source.
    loads: u64,
    /// Memory.
    hot: TierBody,
    /// Disk; null when it is switched off.
    warm: Option<TierBody>,
    /// Redis; null when there is none.
    shared: Option<TierBody>,
}

/// Which tier.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TierName {
    /// Memory.
    Hot,
    /// Disk.
    Warm,
    /// Redis.
    Shared,
}

/// What to empty.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClearRequest {
    /// One tier; without it all.
    #[garde(skip)]
    tier: Option<TierName>,
}

/// How far the change reaches by now.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Cleared {
    /// It outlasts this process.
    durable: bool,
    /// Other instances were told; when false, they are as soon as Redis answers.
    shared: bool,
}

impl From<Invalidated> for Cleared {
    fn from(done: Invalidated) -> Self {
        Self {
            durable: done.durable,
            shared: done.shared,
        }
    }
}

impl From<TierStats> for TierBody {
    fn from(tier: TierStats) -> Self {
        Self {
            state: tier.state,
            up: tier.up,
            hits: tier.hits,
            misses: tier.misses,
            errors: tier.errors,
            bytes: tier.bytes,
            entries: tier.entries,
            capacity: tier.capacity,
        }
    }
}

/// The area's operations.
pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(
            Method::GET,
            "/api/v1/cache/stats",
            "cache.stats",
            MANAGES,
            stats,
        )
        .summary("The cache in numbers, tier by tier"),
        Operation::new(
            Method::POST,
            "/api/v1/cache/clear",
            "cache.clear",
            MANAGES,
            clear,
        )
        .summary("Empty the cache, or one of its tiers"),
    ]
}

async fn stats(cache: ReadOnlyCache) -> Result<Json<StatsBody>, Problem> {
    let stats = cache.stats();
    Ok(Json(StatsBody {
        hit_rate: stats.hit_rate,
        hits: stats.hits,
        misses: stats.misses,
        loads: stats.loads,
        hot: stats.hot.into(),
        warm: stats.warm.map(Into::into),
        shared: stats.shared.map(Into::into),
    }))
}

async fn clear(
    cache: Cache,
    ApiJson(body): ApiJson<ClearRequest>,
) -> Result<Json<Cleared>, Problem> {
    let tier = body.tier.map(|tier| match tier {
        TierName::Hot => Tier::Hot,
        TierName::Warm => Tier::Warm,
        TierName::Shared => Tier::Shared,
    });
    Ok(Json(cache.clear(tier).await.into()))
}
