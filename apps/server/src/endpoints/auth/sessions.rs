//! GET `/api/v1/auth/sessions`, DELETE `/api/v1/auth/sessions/{id}`.

use crate::{
    extract::ApiPath,
    operation::{Access, Operation},
    problem::Problem,
    reply::{Json, NoContent, Page},
};
use actix_web::http::Method;
use jiff::Timestamp;
use mainstay_domain::SessionId;
use mainstay_identity::Permission;
use mainstay_persistence::{Call, Sessions};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

const SELF: Access = Access::Requires(Permission::ManageSelf);

/// A login as its owner sees it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Login")]
pub(crate) struct SessionBody {
    /// Its id.
    id: Uuid,
    /// Whether it is the one that asks.
    current: bool,
    /// When the login was.
    created_at: Timestamp,
    /// When it was last refreshed.
    last_used_at: Timestamp,
    /// When it ends unless it is refreshed.
    expires_at: Timestamp,
}

pub(crate) fn list() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/auth/sessions",
        "auth.sessions",
        SELF,
        all,
    )
    .summary("Where one is logged in")
    .description("Newest first, at most 100.")
}

pub(crate) fn end() -> Operation {
    Operation::new(
        Method::DELETE,
        "/api/v1/auth/sessions/{id}",
        "auth.end_session",
        SELF,
        revoke,
    )
    .summary("End one of one's own sessions")
    .description("Its access tokens are refused everywhere within seconds.")
}

async fn all(call: Call, sessions: Sessions) -> Result<Json<Page<SessionBody>>, Problem> {
    let current = call.principal().session_id;
    let items = sessions.list(&call).await?;
    Ok(Json(Page {
        items: items
            .into_iter()
            .map(|session| SessionBody {
                id: session.id.uuid(),
                current: session.id == current,
                created_at: session.created_at,
                last_used_at: session.last_used_at,
                expires_at: session.expires_at,
            })
            .collect(),
        next_cursor: None,
    }))
}

async fn revoke(
    call: Call,
    sessions: Sessions,
    ApiPath(id): ApiPath<SessionId>,
) -> Result<NoContent, Problem> {
    sessions.revoke(&call, id).await?;
    Ok(NoContent)
}
