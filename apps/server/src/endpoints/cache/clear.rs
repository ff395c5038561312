//! POST `/api/v1/cache/clear`.

use super::CacheChanged;
use crate::{
    extract::ApiJson,
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
};
use actix_web::http::Method;
use mainstay_cache::Tier;
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::Call;
use schemars::JsonSchema;
use serde::Deserialize;

/// Which tier.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TierName {
    /// The memory of this instance.
    Hot,
    /// The disk of this instance.
    Warm,
    /// Redis, which instances share.
    Shared,
}

impl From<TierName> for Tier {
    fn from(name: TierName) -> Self {
        match name {
            TierName::Hot => Self::Hot,
            TierName::Warm => Self::Warm,
            TierName::Shared => Self::Shared,
        }
    }
}

/// What to drop.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearRequest {
    /// A whole tier; without it, what the cache holds for the workspace.
    #[garde(skip)]
    tier: Option<TierName>,
}

pub(super) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/cache/clear",
        "cache.clear",
        Access::Requires(Permission::ManageCache),
        clear,
    )
    .summary("Drop what the cache holds for the workspace, or a whole tier")
    .description(
        "Without `tier`, answers and entries of this workspace go from every tier and instance. \
         With `tier`, everything in it goes, for every workspace; where anybody may register \
         this is refused. Answers on record in Postgres are no part of the cache: they may be \
         served again until their time is over.",
    )
}

async fn clear(
    call: Call,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<ClearRequest>,
) -> Result<Json<CacheChanged>, Problem> {
    let tier = body.tier.map(Into::into);
    let done = orchestrator.clear_cache(&call, tier).await?;
    Ok(Json(done.into()))
}
