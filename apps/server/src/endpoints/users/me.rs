//! GET, PATCH and DELETE `/api/v1/users/me`.

use crate::{
    endpoints::auth::UserBody,
    extract::ApiJson,
    operation::{Access, Operation},
    problem::Problem,
    reply::{Json, NoContent},
};
use actix_web::http::Method;
use mainstay_domain::Name;
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::{Accounts, Call};
use schemars::JsonSchema;
use serde::Deserialize;

const SELF: Access = Access::Requires(Permission::ManageSelf);

/// What a person says about themselves.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileRequest {
    /// Their name; null takes it away.
    #[garde(length(chars, min = 1, max = 120))]
    #[serde(deserialize_with = "Option::deserialize")]
    full_name: Option<String>,
}

pub(crate) fn get() -> Operation {
    Operation::new(Method::GET, "/api/v1/users/me", "users.get_me", SELF, read)
        .summary("One's own account")
}

pub(crate) fn update() -> Operation {
    Operation::new(
        Method::PATCH,
        "/api/v1/users/me",
        "users.update_me",
        SELF,
        patch,
    )
    .summary("Change one's own name")
}

pub(crate) fn erase() -> Operation {
    Operation::new(
        Method::DELETE,
        "/api/v1/users/me",
        "users.erase_me",
        SELF,
        remove,
    )
    .summary("Erase one's own account and what is one's own")
    .description(
        "At once and for good: account, sessions, conversations, agents and answers. Audit, usage \
         and decisions keep an id that leads nowhere. 409 under a legal hold, and for the last \
         active administrator while the workspace has other members.",
    )
}

async fn read(call: Call, accounts: Accounts) -> Result<Json<UserBody>, Problem> {
    let user = accounts.find(&call, call.principal().user_id).await?;
    Ok(Json(user.into()))
}

async fn patch(
    call: Call,
    accounts: Accounts,
    ApiJson(body): ApiJson<ProfileRequest>,
) -> Result<Json<UserBody>, Problem> {
    let name = body.full_name.as_deref().map(Name::parse).transpose();
    let name = name.map_err(|error| Problem::field("/full_name", error.to_string()))?;
    let user = accounts.update_profile(&call, name.as_ref()).await?;
    Ok(Json(user.into()))
}

async fn remove(call: Call, orchestrator: Orchestrator) -> Result<NoContent, Problem> {
    let person = call.principal().user_id;
    orchestrator.erase_person(&call, person).await?;
    Ok(NoContent)
}
