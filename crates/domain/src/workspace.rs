//! Workspaces: the tenant that every row belongs to.

use crate::{
    caller::Role,
    governance::GovernanceLevel,
    ids::{InvitationId, WorkspaceId},
    money::Usd,
    text::Name,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A workspace with the settings that every question depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name.
    pub name: Name,
    /// How strictly model calls are governed.
    pub governance_level: GovernanceLevel,
    /// The most that one request may cost.
    pub request_ceiling: Usd,
    /// Whether an answer given to one member may be served to another.
    pub share_answers: bool,
    /// Words that no question may contain, lower-cased.
    pub blocked_terms: Vec<String>,
    /// Counts its changes from 1.
    pub version: i32,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Workspace {
    /// The request ceiling of a new workspace: one dollar.
    pub const DEFAULT_CEILING_NANO: u64 = 1_000_000_000;
}

/// A single-use invitation; its token is shown once and stored hashed.
#[derive(Debug, Clone, PartialEq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The workspace that it leads into.
    pub workspace_id: WorkspaceId,
    /// The role that it grants.
    pub role: Role,
    /// When it lapses.
    pub expires_at: Timestamp,
}
