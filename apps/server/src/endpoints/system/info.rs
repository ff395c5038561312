//! GET `/api/v1/system/info`: what runs here.

use crate::{
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
    settings::Settings,
};
use actix_web::http::Method;
use mainstay_identity::Permission;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// What runs here and what it takes on.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Info {
    /// The product's name.
    name: &'static str,
    /// The build's version.
    version: &'static str,
    /// The largest body under `/api/v1`, in bytes.
    body_limit_bytes: usize,
    /// Seconds within which a request is answered.
    request_timeout_seconds: u64,
    /// Requests per minute and principal.
    requests_per_minute: u32,
    /// Requests per hour and principal.
    requests_per_hour: u32,
    /// Requests that the process takes on at once.
    max_in_flight: usize,
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/system/info",
        "system.info",
        Access::Requires(Permission::ReadSystem),
        info,
    )
    .summary("The build and its limits")
}

async fn info(settings: Arc<Settings>) -> Result<Json<Info>, Problem> {
    Ok(Json(Info {
        name: "mainstay",
        version: env!("CARGO_PKG_VERSION"),
        body_limit_bytes: settings.server.body_limit_bytes,
        request_timeout_seconds: settings.server.request_timeout_seconds,
        requests_per_minute: settings.limits.authenticated_per_minute,
        requests_per_hour: settings.limits.authenticated_per_hour,
        max_in_flight: settings.limits.max_in_flight,
    }))
}
