//! GET and PUT `/api/v1/governance/policies`.

use crate::{
    endpoints::personas::version_of,
    extract::{ApiJson, IfMatch},
    operation::{Access, Operation},
    problem::Problem,
    reply::Tagged,
    wire::{self, Dollars},
};
use actix_web::http::Method;
use mainstay_domain::{GovernanceLevel, Workspace};
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::{Call, WorkspacePatch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the workspace is governed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Policies")]
pub(crate) struct PoliciesBody {
    /// How strictly findings are judged: `strict`, `moderate` or `permissive`.
    governance_level: &'static str,
    /// The most that one request may cost.
    request_ceiling_usd: Dollars,
    /// Words that no question may contain, lower-cased.
    blocked_terms: Vec<String>,
    /// The workspace's version; also the `ETag`.
    version: i32,
}

impl From<Workspace> for PoliciesBody {
    fn from(workspace: Workspace) -> Self {
        Self {
            governance_level: workspace.governance_level.as_str(),
            request_ceiling_usd: workspace.request_ceiling.into(),
            blocked_terms: workspace.blocked_terms,
            version: workspace.version,
        }
    }
}

/// How strictly findings are judged.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Every finding blocks or redacts.
    Strict,
    /// High risk blocks, personal data is redacted, the rest is noted.
    Moderate,
    /// Findings are noted; ceilings hold all the same.
    Permissive,
}

impl From<Level> for GovernanceLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Strict => Self::Strict,
            Level::Moderate => Self::Moderate,
            Level::Permissive => Self::Permissive,
        }
    }
}

/// How the workspace shall be governed.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoliciesRequest {
    /// How strictly findings are judged.
    #[garde(skip)]
    governance_level: Level,
    /// The most that one request may cost, such as `"0.50"`.
    #[garde(length(min = 1, max = 24))]
    request_ceiling_usd: String,
    /// Words that no question may contain, at most 200; upper and lower case are the same.
    #[garde(length(max = 200), inner(length(chars, min = 1, max = 100)))]
    blocked_terms: Vec<String>,
}

pub(crate) fn get() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/governance/policies",
        "governance.get_policies",
        Access::Requires(Permission::ReadGovernance),
        read,
    )
    .summary("How the workspace is governed")
}

pub(crate) fn replace() -> Operation {
    Operation::new(
        Method::PUT,
        "/api/v1/governance/policies",
        "governance.put_policies",
        Access::Requires(Permission::WriteGovernance),
        put,
    )
    .summary("Change how the workspace is governed")
    .description("In force for the next question; other instances notice within 30 seconds at most.")
}

async fn read(call: Call, orchestrator: Orchestrator) -> Result<Tagged<PoliciesBody>, Problem> {
    let workspace = orchestrator.workspace(&call).await?;
    let version = workspace.version;
    Ok(Tagged(workspace.into(), version))
}

async fn put(
    call: Call,
    orchestrator: Orchestrator,
    IfMatch(wanted): IfMatch,
    ApiJson(body): ApiJson<PoliciesRequest>,
) -> Result<Tagged<PoliciesBody>, Problem> {
    let patch = WorkspacePatch {
        governance_level: Some(body.governance_level.into()),
        request_ceiling: Some(wire::dollars(
            "/request_ceiling_usd",
            &body.request_ceiling_usd,
        )?),
        blocked_terms: Some(terms(&body.blocked_terms)?),
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

/// Each term once, without the white space around it.
fn terms(sent: &[String]) -> Result<Vec<String>, Problem> {
    let mut terms: Vec<String> = Vec::with_capacity(sent.len());
    for (index, term) in sent.iter().enumerate() {
        let term = term.trim().to_lowercase();
        if term.is_empty() {
            return Err(Problem::field(
                format!("/blocked_terms/{index}"),
                "must not be empty",
            ));
        }
        if !terms.contains(&term) {
            terms.push(term);
        }
    }
    Ok(terms)
}
