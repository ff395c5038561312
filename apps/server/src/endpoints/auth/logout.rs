//! POST `/api/v1/auth/logout` and `/api/v1/auth/logout-all`.

use crate::{
    operation::{Access, Operation},
    problem::Problem,
    reply::{Json, NoContent},
};
use actix_web::http::Method;
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::Call;
use schemars::JsonSchema;
use serde::Serialize;

/// What ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ended {
    /// How many sessions.
    sessions: u64,
}

pub(crate) fn one() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/auth/logout",
        "auth.logout",
        Access::Requires(Permission::ManageSelf),
        logout,
    )
    .summary("End this session")
    .description("Its access tokens are refused everywhere within seconds.")
}

pub(crate) fn all() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/auth/logout-all",
        "auth.logout_all",
        Access::Requires(Permission::ManageSelf),
        logout_all,
    )
    .summary("End every session of one's own")
}

async fn logout(call: Call, orchestrator: Orchestrator) -> Result<NoContent, Problem> {
    orchestrator.logout(&call).await?;
    Ok(NoContent)
}

async fn logout_all(call: Call, orchestrator: Orchestrator) -> Result<Json<Ended>, Problem> {
    let sessions = orchestrator.logout_all(&call).await?;
    Ok(Json(Ended { sessions }))
}
