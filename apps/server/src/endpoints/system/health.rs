//! GET `/health`: the process lives.

use crate::{
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
};
use actix_web::http::Method;
use schemars::JsonSchema;
use serde::Serialize;

/// A living process.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Health {
    /// Always `ok`; a dead process does not answer.
    status: &'static str,
}

pub(crate) fn operation() -> Operation {
    Operation::new(Method::GET, "/health", "system.health", Access::Public, health)
        .summary("Whether the process lives")
        .description("Touches no dependency, so that a restart is never asked for because something else is away.")
        .always()
}

async fn health() -> Result<Json<Health>, Problem> {
    Ok(Json(Health { status: "ok" }))
}
