//! GET and PATCH `/api/v1/workspace`.

use super::WorkspaceBody;
use crate::{
    endpoints::personas::version_of,
    extract::{ApiJson, IfMatch},
    operation::{Access, Operation},
    problem::Problem,
    reply::Tagged,
};
use actix_web::http::Method;
use mainstay_domain::Name;
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::{Call, WorkspacePatch};
use schemars::JsonSchema;
use serde::Deserialize;

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkspaceRequest {
    /// Its name.
    #[garde(length(chars, min = 1, max = 120))]
    name: Option<String>,
    /// Whether an answer given to one member may be served to another.
    #[garde(skip)]
    share_answers: Option<bool>,
}

pub(crate) fn get() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/workspace",
        "workspace.get",
        Access::Requires(Permission::ReadWorkspace),
        read,
    )
    .summary("The workspace that one belongs to")
}

pub(crate) fn update() -> Operation {
    Operation::new(
        Method::PATCH,
        "/api/v1/workspace",
        "workspace.update",
        Access::Requires(Permission::WriteWorkspace),
        patch,
    )
    .summary("Rename the workspace, or let its members share answers")
    .description("How it is governed is changed at `/api/v1/governance/policies`.")
}

async fn read(call: Call, orchestrator: Orchestrator) -> Result<Tagged<WorkspaceBody>, Problem> {
    let workspace = orchestrator.workspace(&call).await?;
    let version = workspace.version;
    Ok(Tagged(workspace.into(), version))
}

async fn patch(
    call: Call,
    orchestrator: Orchestrator,
    IfMatch(wanted): IfMatch,
    ApiJson(body): ApiJson<WorkspaceRequest>,
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
    let present = async { Ok(orchestrator.workspace(&call).await?.version) };
    let version = version_of(wanted, present).await?;
    let workspace = orchestrator
        .update_workspace(&call, version, &patch)
        .await?;
    let version = workspace.version;
    Ok(Tagged(workspace.into(), version))
}
