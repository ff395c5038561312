//! The workspace, its policies and invitations into it.

pub(crate) mod members;

use crate::{
    endpoints::personas::version_of,
    extract::{ApiJson, IfMatch},
    operation::{Access, Operation},
    problem::Problem,
    reply::{Created, Tagged},
    wire::{self, Dollars},
};
use actix_web::http::Method;
use jiff::Timestamp;
use mainstay_domain::{GovernanceLevel, Name, Role, Workspace};
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::{Call, WorkspacePatch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The workspace.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Workspace")]
pub(crate) struct WorkspaceBody {
    /// Its id.
    id: Uuid,
    /// Its name.
    name: String,
    /// Whether an answer given to one member may be served to another.
    share_answers: bool,
    /// Counts its changes from 1; also the `ETag`.
    version: i32,
    /// When it was made.
    created_at: Timestamp,
}

impl From<Workspace> for WorkspaceBody {
    fn from(workspace: Workspace) -> Self {
        Self {
            id: workspace.id.uuid(),
            name: workspace.name.into(),
            share_answers: workspace.share_answers,
            version: workspace.version,
            created_at: workspace.created_at,
        }
    }
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkspacePatchRequest {
    /// Its name.
    #[garde(length(chars, min = 1, max = 120))]
    name: Option<String>,
    /// Whether an answer given to one member may be served to another.
    #[garde(skip)]
    share_answers: Option<bool>,
}

/// The level of governance.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Every finding blocks or redacts.
    Strict,
    /// High risk blocks, personal data is redacted, the rest is noted.
    Moderate,
    /// Findings are noted; budgets hold all the same.
    Permissive,
}

/// How model calls are governed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Policies {
    /// How strictly.
    level: Level,
    /// The most that one request may cost.
    request_ceiling_usd: Dollars,
    /// Words that no question may contain.
    blocked_terms: Vec<String>,
    /// Counts the workspace's changes from 1; also the `ETag`.
    version: i32,
}

impl From<Workspace> for Policies {
    fn from(workspace: Workspace) -> Self {
        Self {
            level: match workspace.governance_level {
                GovernanceLevel::Strict => Level::Strict,
                GovernanceLevel::Moderate => Level::Moderate,
                GovernanceLevel::Permissive => Level::Permissive,
            },
            request_ceiling_usd: workspace.request_ceiling.into(),
            blocked_terms: workspace.blocked_terms,
            version: workspace.version,
        }
    }
}

/// How model calls shall be governed.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoliciesRequest {
    /// How strictly.
    #[garde(skip)]
    level: Level,
    /// The most that one request may cost, such as `"1.00"`.
    #[garde(length(min = 1, max = 24))]
    request_ceiling_usd: String,
    /// Words that no question may contain, at most 1,000.
    #[garde(length(max = 1_000), inner(length(chars, min = 1, max = 120)))]
    #[serde(default)]
    blocked_terms: Vec<String>,
}

/// Whom to invite as what.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteRequest {
    /// `member`, `operator` or `administrator`. Default `member`.
    #[garde(length(max = 20))]
    role: Option<String>,
}

/// An invitation, whose token is shown this once.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Invited {
    /// Its id.
    id: Uuid,
    /// What the invited person registers with.
    invitation: String,
    /// The role that it grants.
    role: &'static str,
    /// When it lapses.
    expires_at: Timestamp,
}

/// The area's operations.
pub(crate) fn operations() -> Vec<Operation> {
    let (path, policies) = ("/api/v1/workspace", "/api/v1/governance/policies");
    let writes = Access::Requires(Permission::WriteWorkspace);
    vec![
        Operation::new(
            Method::GET,
            path,
            "workspace.get",
            Access::Requires(Permission::ReadWorkspace),
            get,
        )
        .summary("One's own workspace"),
        Operation::new(Method::PATCH, path, "workspace.update", writes, patch)
            .summary("Rename the workspace, or share answers between its members"),
        Operation::new(
            Method::POST,
            "/api/v1/workspace/invitations",
            "workspace.invite",
            Access::Requires(Permission::ManageMembers),
            invite,
        )
        .summary("Make a single-use invitation into the workspace")
        .idempotent(),
        members::list(),
        members::update(),
        members::remove(),
        Operation::new(
            Method::GET,
            policies,
            "governance.policies",
            Access::Requires(Permission::ReadGovernance),
            get_policies,
        )
        .summary("How model calls are governed"),
        Operation::new(
            Method::PUT,
            policies,
            "governance.set_policies",
            Access::Requires(Permission::WriteGovernance),
            put_policies,
        )
        .summary("Change how model calls are governed"),
    ]
}

async fn get(call: Call, orchestrator: Orchestrator) -> Result<Tagged<WorkspaceBody>, Problem> {
    let workspace = orchestrator.workspace(&call).await?;
    let version = workspace.version;
    Ok(Tagged(workspace.into(), version))
}

async fn change(
    call: &Call,
    orchestrator: &Orchestrator,
    wanted: Option<i32>,
    patch: &WorkspacePatch,
) -> Result<Workspace, Problem> {
    let present = async { Ok(orchestrator.workspace(call).await?.version) };
    let version = version_of(wanted, present).await?;
    Ok(orchestrator.update_workspace(call, version, patch).await?)
}

async fn patch(
    call: Call,
    orchestrator: Orchestrator,
    IfMatch(wanted): IfMatch,
    ApiJson(body): ApiJson<WorkspacePatchRequest>,
) -> Result<Tagged<WorkspaceBody>, Problem> {
    if body.name.is_none() && body.share_answers.is_none() {
        return Err(Problem::field(
            "",
            "names nothing to change; send name or share_answers",
        ));
    }
    let name = body.name.as_deref().map(Name::parse).transpose();
    let patch = WorkspacePatch {
        name: name.map_err(|error| Problem::field("/name", error.to_string()))?,
        share_answers: body.share_answers,
        ..WorkspacePatch::default()
    };
    let workspace = change(&call, &orchestrator, wanted, &patch).await?;
    let version = workspace.version;
    Ok(Tagged(workspace.into(), version))
}

async fn invite(
    call: Call,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<InviteRequest>,
) -> Result<Created<Invited>, Problem> {
    let role: Role = match &body.role {
        None => Role::Member,
        Some(text) => text
            .parse()
            .map_err(|_| Problem::field("/role", "must be member, operator or administrator"))?,
    };
    let invited = orchestrator.invite(&call, role).await?;
    Ok(Created(Invited {
        id: invited.invitation.id.uuid(),
        invitation: invited.token.to_string(),
        role: invited.invitation.role.as_str(),
        expires_at: invited.invitation.expires_at,
    }))
}

async fn get_policies(call: Call, orchestrator: Orchestrator) -> Result<Tagged<Policies>, Problem> {
    let workspace = orchestrator.workspace(&call).await?;
    let version = workspace.version;
    Ok(Tagged(workspace.into(), version))
}

async fn put_policies(
    call: Call,
    orchestrator: Orchestrator,
    IfMatch(wanted): IfMatch,
    ApiJson(body): ApiJson<PoliciesRequest>,
) -> Result<Tagged<Policies>, Problem> {
    let patch = WorkspacePatch {
        governance_level: Some(match body.level {
            Level::Strict => GovernanceLevel::Strict,
            Level::Moderate => GovernanceLevel::Moderate,
            Level::Permissive => GovernanceLevel::Permissive,
        }),
        request_ceiling: Some(wire::dollars(
            "/request_ceiling_usd",
            &body.request_ceiling_usd,
        )?),
        // Questions are compared in lower case.
        blocked_terms: Some(
            body.blocked_terms
                .iter()
                .map(|t| t.to_lowercase())
                .collect(),
        ),
        ..WorkspacePatch::default()
    };
    let workspace = change(&call, &orchestrator, wanted, &patch).await?;
    let version = workspace.version;
    Ok(Tagged(workspace.into(), version))
}
