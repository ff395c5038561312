//! People with accounts.

use crate::{
    caller::Role,
    ids::{UserId, WorkspaceId},
    text::{Email, Name},
};
use jiff::Timestamp;

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserStatus {
    /// May log in.
    Active,
    /// Locked by an administrator.
    Disabled,
}

/// A person with an account; belongs to one workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their workspace.
    pub workspace_id: WorkspaceId,
    /// Their address, unique in the deployment.
    pub email: Email,
    /// Their name, if they gave one.
    pub full_name: Option<Name>,
    /// What they may do.
    pub role: Role,
    /// Whether the account may be used.
    pub status: UserStatus,
    /// When they registered.
    pub created_at: Timestamp,
}
