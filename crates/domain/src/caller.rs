//! Who asks: the authenticated principal and the request that it speaks in.

use crate::ids::{CorrelationId, SessionId, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What a principal may do in its workspace, from least to most for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A program that speaks for the workspace with a key of its own.
    Service,
    /// Uses the assistant.
    Member,
    /// Runs it: knowledge, cache, metrics.
    Operator,
    /// Owns it: people, policies, budgets.
    Administrator,
}

impl Role {
    /// The stable name, as stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Member => "member",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}

/// A name that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of service, member, operator, administrator")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [
            Self::Service,
            Self::Member,
            Self::Operator,
            Self::Administrator,
        ]
        .into_iter()
        .find(|role| role.as_str() == text)
        .ok_or(UnknownRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An authenticated identity inside one workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The person.
    pub user_id: UserId,
    /// The only workspace whose rows it may see.
    pub workspace_id: WorkspaceId,
    /// What it may do there.
    pub role: Role,
    /// The login session that the access token came from.
    pub session_id: SessionId,
}

/// A principal in the course of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// The request's correlation id.
    pub correlation_id: CorrelationId,
}
