//! All SQL of Mainstay: the database manager and the repositories.
//!
//! [`Database`] starts in observable phases and only then serves. Repositories
//! are narrow handles got from it; each method takes the [`Call`] in whose
//! name it runs, sees and changes only rows of the caller's workspace, ends by
//! the call's deadline, and writes its audit row (and, where others must hear
//! of it, an outbox row) in the same transaction as the change.
//!
//! # How to add a repository method
//! 1. Write the statement as one static text; scope it by `workspace_id`.
//! 2. One statement that changes state carries its audit row as a CTE; several
//!    run in `Inner::transaction` with `conn.record(…)`.
//! 3. Personal data goes through a `Sealer`, never into a plain column; add the
//!    column to `docs/DATA-PROTECTION.md`, whose test fails otherwise.
//! 4. Return domain types and [`DbError`], nothing of the driver.

mod call;
pub mod classes;
mod config;
mod database;
mod error;
mod fresh;
mod keys;
mod migrate;
mod page;
#[cfg(test)]
mod plans;
pub mod repositories;
mod statements;
mod trail;

pub use call::{Call, OpenCall};
pub use config::{Config, ConfigError};
pub use database::{Database, DatabaseStatus, Housekeeping, Phase, PoolStatus, StartError};
pub use error::DbError;
pub use migrate::{Migration, SchemaError};
pub use page::{Page, PageRequest};
pub use repositories::{
    accounts::{Accounts, Credentials, Joining, Registration},
    agents::{AgentMetrics, Agents, NewAgent},
    audit::{Audit, AuditFilter, AuditRecord},
    cache_log::{CacheChange, CacheLog},
    consistency::{Consistency, Drift},
    conversations::{ConversationPatch, Conversations, NewConversation},
    decisions::{Decisions, LoggedDecision},
    erasure::Erasure,
    executions::{BeginExecution, Executions, FinishExecution, StoredAnswer},
    exports::Exports,
    idempotency::{Claim, ClaimId, Idempotency, StoredResponse},
    instances::Instances,
    key_rotation::KeyRotation,
    knowledge::{DocumentSummary, Knowledge, NewDocument},
    messages::{BeginRun, Begun, FinishRun, Messages},
    outbox::{Outbox, OutboxEvent},
    personas::Personas,
    retention::{Retention, RetentionPolicy, RetentionReport},
    sessions::{NewSession, RevokedSession, Rotation, SessionInfo, Sessions},
    signing_keys::{SigningKeyRecord, SigningKeys},
    usage::{CacheHit, Usage, UsageGroup, UsageLine},
    workspaces::{NewInvitation, WorkspacePatch, Workspaces},
};
