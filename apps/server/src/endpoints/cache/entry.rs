//! GET, PUT and DELETE `/api/v1/cache/{key}`: values that a workspace stores itself.

use super::{CacheChanged, check_name, check_names};
use crate::{
    extract::{ApiJson, ApiPath},
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
};
use actix_web::http::Method;
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::Call;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{slice, time::Duration};

const MANAGES: Access = Access::Requires(Permission::ManageCache);

/// A value to store.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryRequest {
    /// Any JSON value.
    #[garde(skip)]
    value: Value,
    /// How long it is kept, in seconds, 1 to 86,400. Default 3600.
    #[garde(range(min = 1, max = 86_400))]
    ttl_seconds: Option<u32>,
    /// Tags by which it can be dropped together with others, at most 16.
    #[garde(length(max = 16))]
    #[serde(default)]
    tags: Vec<String>,
}

/// A value that was stored.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CacheEntry")]
pub(super) struct EntryBody {
    /// Its name.
    key: String,
    /// The value.
    value: Value,
    /// The tier that had it: `hot`, `warm` or `shared`.
    tier: &'static str,
    /// How long ago it was stored, in seconds.
    age_seconds: u64,
}

pub(super) fn get() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/cache/{key}",
        "cache.get_entry",
        MANAGES,
        read,
    )
    .summary("A value that the workspace stored")
    .description("Entries belong to the workspace; neither another's nor answers can be reached.")
}

pub(super) fn put() -> Operation {
    Operation::new(
        Method::PUT,
        "/api/v1/cache/{key}",
        "cache.put_entry",
        MANAGES,
        store,
    )
    .summary("Store a value for a while")
    .description(
        "A cache is no storage: an entry can be gone before its time. \
         Keys are 1 to 200 of `a-z A-Z 0-9 - _ . :`; `stats`, `invalidate` and `clear` are taken.",
    )
}

pub(super) fn delete() -> Operation {
    Operation::new(
        Method::DELETE,
        "/api/v1/cache/{key}",
        "cache.delete_entry",
        MANAGES,
        remove,
    )
    .summary("Drop a value")
    .description("Dropping what is not there is no error.")
}

async fn read(
    call: Call,
    orchestrator: Orchestrator,
    ApiPath(key): ApiPath<String>,
) -> Result<Json<EntryBody>, Problem> {
    check_name("", &key)?;
    let cached = orchestrator.cache_entry(&call, &key).await;
    let cached = cached.ok_or_else(|| Problem::not_found("entry"))?;
    Ok(Json(EntryBody {
        key,
        value: serde_json::from_slice(&cached.value).map_err(|error| Problem::internal(&error))?,
        tier: cached.source.as_str(),
        age_seconds: cached.age.as_secs(),
    }))
}

async fn store(
    call: Call,
    orchestrator: Orchestrator,
    ApiPath(key): ApiPath<String>,
    ApiJson(body): ApiJson<EntryRequest>,
) -> Result<Json<CacheChanged>, Problem> {
    check_name("", &key)?;
    check_names("/tags", &body.tags)?;
    let value = serde_json::to_vec(&body.value).map_err(|error| Problem::internal(&error))?;
    let ttl = Duration::from_secs(body.ttl_seconds.unwrap_or(3600).into());
    let done = orchestrator
        .put_cache_entry(&call, &key, value, ttl, &body.tags)
        .await?;
    Ok(Json(done.into()))
}

async fn remove(
    call: Call,
    orchestrator: Orchestrator,
    ApiPath(key): ApiPath<String>,
) -> Result<Json<CacheChanged>, Problem> {
    check_name("", &key)?;
    let done = orchestrator
        .drop_cache_entries(&call, slice::from_ref(&key), &[])
        .await?;
    Ok(Json(done.into()))
}
