//! The workspace: its settings, its people, who is invited.

pub(crate) mod invite;
pub(crate) mod members;
pub(crate) mod settings;

use crate::wire::Dollars;
use jiff::Timestamp;
use mainstay_domain::Workspace;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// The workspace as its members see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Workspace")]
pub(crate) struct WorkspaceBody {
    /// Its id.
    id: Uuid,
    /// Its name.
    name: String,
    /// How strictly model calls are governed: `strict`, `moderate` or `permissive`.
    governance_level: &'static str,
    /// The most that one request may cost.
    request_ceiling_usd: Dollars,
    /// Whether an answer given to one member may be served to another.
    share_answers: bool,
    /// Counts its changes from 1, policies included; also the `ETag`.
    version: i32,
    /// When it was made.
    created_at: Timestamp,
}

impl From<Workspace> for WorkspaceBody {
    fn from(workspace: Workspace) -> Self {
        Self {
            id: workspace.id.uuid(),
            name: workspace.name.into(),
            governance_level: workspace.governance_level.as_str(),
            request_ceiling_usd: workspace.request_ceiling.into(),
            share_answers: workspace.share_answers,
            version: workspace.version,
            created_at: workspace.created_at,
        }
    }
}
