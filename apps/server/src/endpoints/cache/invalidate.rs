//! POST `/api/v1/cache/invalidate`.

use super::{CacheChanged, check_names};
use crate::{
    extract::ApiJson,
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
};
use actix_web::http::Method;
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::Call;
use schemars::JsonSchema;
use serde::Deserialize;

/// Which of the workspace's own entries to drop; at least one.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct InvalidateRequest {
    /// Names of entries, at most 100.
    #[garde(length(max = 100))]
    #[serde(default)]
    keys: Vec<String>,
    /// Tags of entries, at most 100.
    #[garde(length(max = 100))]
    #[serde(default)]
    tags: Vec<String>,
}

pub(super) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/cache/invalidate",
        "cache.invalidate",
        Access::Requires(Permission::ManageCache),
        invalidate,
    )
    .summary("Drop entries by name and by tag")
    .description(
        "In every tier and instance. It reaches what the workspace stored at \
         `/api/v1/cache/{key}`; answers are dropped at `/api/v1/cache/clear`.",
    )
}

async fn invalidate(
    call: Call,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<InvalidateRequest>,
) -> Result<Json<CacheChanged>, Problem> {
    if body.keys.is_empty() && body.tags.is_empty() {
        return Err(Problem::field("", "names nothing; send keys or tags"));
    }
    check_names("/keys", &body.keys)?;
    check_names("/tags", &body.tags)?;
    let done = orchestrator
        .drop_cache_entries(&call, &body.keys, &body.tags)
        .await?;
    Ok(Json(done.into()))
}
