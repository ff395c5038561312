//! GET `/api/v1/workspace/members`, PATCH and DELETE `/api/v1/workspace/members/{user_id}`.

use crate::{
    extract::{ApiJson, ApiPath, ApiQuery},
    operation::{Access, Operation},
    problem::{Code, Problem},
    reply::{Json, NoContent, Page},
    wire::{self, ListQuery},
};
use actix_web::http::Method;
use jiff::Timestamp;
use mainstay_domain::{Role, User, UserId, UserStatus};
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::{Accounts, Call, DbError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A member of the workspace.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Member")]
pub(crate) struct MemberBody {
    /// Their id.
    id: Uuid,
    /// Their address.
    email: String,
    /// Their name, if they gave one.
    full_name: Option<String>,
    /// `member`, `operator` or `administrator`.
    role: &'static str,
    /// `active` or `disabled`.
    status: &'static str,
    /// When they registered.
    created_at: Timestamp,
}

impl From<User> for MemberBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id.uuid(),
            email: user.email.into(),
            full_name: user.full_name.map(Into::into),
            role: user.role.as_str(),
            status: match user.status {
                UserStatus::Active => "active",
                UserStatus::Disabled => "disabled",
            },
            created_at: user.created_at,
        }
    }
}

/// What a person may be in a workspace.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MemberRole {
    /// Uses the assistant.
    Member,
    /// Runs it: knowledge, personas, cache, metrics.
    Operator,
    /// Owns it: people, policies, audit.
    Administrator,
}

impl From<MemberRole> for Role {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Member => Self::Member,
            MemberRole::Operator => Self::Operator,
            MemberRole::Administrator => Self::Administrator,
        }
    }
}

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MemberStatus {
    /// May log in.
    Active,
    /// Is locked out; what they did stays.
    Disabled,
}

/// What to change about a member: one of the two.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberRequest {
    /// Their new role.
    #[garde(skip)]
    role: Option<MemberRole>,
    /// Whether their account may be used.
    #[garde(skip)]
    status: Option<MemberStatus>,
}

pub(crate) fn list() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/workspace/members",
        "workspace.members",
        Access::Requires(Permission::ReadWorkspace),
        all,
    )
    .summary("The people of the workspace")
    .description("Oldest first.")
}

pub(crate) fn update() -> Operation {
    Operation::new(
        Method::PATCH,
        "/api/v1/workspace/members/{user_id}",
        "workspace.update_member",
        Access::Requires(Permission::ManageMembers),
        patch,
    )
    .summary("Give a member another role, or lock or unlock their account")
    .description(
        "Ends their sessions, since their tokens still carry what they were; these are refused \
         everywhere within seconds. The last active administrator cannot be demoted or locked.",
    )
}

pub(crate) fn remove() -> Operation {
    Operation::new(
        Method::DELETE,
        "/api/v1/workspace/members/{user_id}",
        "workspace.remove_member",
        Access::Requires(Permission::ManageMembers),
        erase,
    )
    .summary("Remove a member and erase what is theirs")
    .description(
        "Their account, sessions, conversations, agents and answers go for good; audit, usage and          decisions keep an id that leads nowhere. To keep what they did, disable the account \
         instead. 409 under a legal hold and for the last active administrator of others.",
    )
}

async fn all(
    call: Call,
    accounts: Accounts,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Page<MemberBody>>, Problem> {
    let page = accounts.list(&call, query.request()?).await?;
    Ok(Json(wire::page(page)))
}

async fn patch(
    call: Call,
    accounts: Accounts,
    ApiPath(id): ApiPath<UserId>,
    ApiJson(body): ApiJson<MemberRequest>,
) -> Result<Json<MemberBody>, Problem> {
    // Each is a transaction of its own, so both at once could end half done.
    let changed = match (body.role, body.status) {
        (Some(role), None) => accounts.set_role(&call, id, role.into()).await,
        (None, Some(MemberStatus::Active)) => {
            accounts.set_status(&call, id, UserStatus::Active).await
        }
        (None, Some(MemberStatus::Disabled)) => {
            accounts.set_status(&call, id, UserStatus::Disabled).await
        }
        _ => return Err(Problem::field("", "send either role or status")),
    };
    match changed {
        Err(DbError::Conflict("last_administrator")) => Err(Problem::new(
            Code::Conflict,
            "the workspace would be left without an active administrator",
        )),
        other => Ok(Json(other?.into())),
    }
}

async fn erase(
    call: Call,
    orchestrator: Orchestrator,
    ApiPath(id): ApiPath<UserId>,
) -> Result<NoContent, Problem> {
    orchestrator.erase_person(&call, id).await?;
    Ok(NoContent)
}
