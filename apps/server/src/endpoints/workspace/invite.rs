//! POST `/api/v1/workspace/invitations`.

use super::members::MemberRole;
use crate::{
    extract::ApiJson,
    operation::{Access, Operation},
    problem::Problem,
    reply::Created,
};
use actix_web::http::Method;
use jiff::Timestamp;
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::Call;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Whom to invite.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteRequest {
    /// What the invited person will be.
    #[garde(skip)]
    role: MemberRole,
}

/// An invitation with its token, which is shown this once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Invitation")]
pub(crate) struct InvitationBody {
    /// Its id.
    id: Uuid,
    /// What the invited person will be.
    role: &'static str,
    /// What they register with, as `invitation`. It works once.
    token: String,
    /// When it lapses.
    expires_at: Timestamp,
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/workspace/invitations",
        "workspace.invite",
        Access::Requires(Permission::ManageMembers),
        invite,
    )
    .summary("Make an invitation into the workspace")
    .description("Hand its token to the person, who registers with it. It works once, for seven days.")
    .idempotent()
}

async fn invite(
    call: Call,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<InviteRequest>,
) -> Result<Created<InvitationBody>, Problem> {
    let invited = orchestrator.invite(&call, body.role.into()).await?;
    Ok(Created(InvitationBody {
        id: invited.invitation.id.uuid(),
        role: invited.invitation.role.as_str(),
        token: invited.token.to_string(),
        expires_at: invited.invitation.expires_at,
    }))
}
