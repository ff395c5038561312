//! The repositories, one file each, as narrow handles.

pub mod accounts;
pub mod agents;
pub mod audit;
pub mod cache_log;
pub mod consistency;
pub mod conversations;
pub mod decisions;
pub mod erasure;
pub mod executions;
pub mod exports;
pub mod idempotency;
pub mod instances;
pub mod key_rotation;
pub mod knowledge;
pub mod messages;
pub mod outbox;
pub mod personas;
pub mod retention;
pub mod sessions;
pub mod signing_keys;
pub mod usage;
pub mod workspaces;

use crate::{
    database::{Database, Inner},
    error::{DbError, Failure},
};
use mainstay_domain::{Decision, Usd};
use serde::{Serialize, de::DeserializeOwned, de::value::StrDeserializer};
use std::sync::Arc;
use uuid::Uuid;

macro_rules! handles {
    ($($(#[$doc:meta])* $method:ident: $module:ident::$name:ident),+ $(,)?) => {
        impl Database {$(
            $(#[$doc])*
            #[must_use]
            pub fn $method(&self) -> $module::$name {
                $module::$name(Arc::clone(&self.0))
            }
        )+}
    };
}

handles! {
    /// People: registration, credentials, roles.
    accounts: accounts::Accounts,
    /// Logins and their refresh tokens.
    sessions: sessions::Sessions,
    /// The deployment's token-signing keys.
    signing_keys: signing_keys::SigningKeys,
    /// The caller's workspace and its invitations.
    workspaces: workspaces::Workspaces,
    /// Personas.
    personas: personas::Personas,
    /// Conversations.
    conversations: conversations::Conversations,
    /// Messages and the runs that write them.
    messages: messages::Messages,
    /// One-shot questions.
    executions: executions::Executions,
    /// What answers cost.
    usage: usage::Usage,
    /// The knowledge base.
    knowledge: knowledge::Knowledge,
    /// Agents.
    agents: agents::Agents,
    /// Governance's decision log.
    decisions: decisions::Decisions,
    /// The audit log, for reading.
    audit: audit::Audit,
    /// What operators did to the cache.
    cache_log: cache_log::CacheLog,
    /// Events on their way out.
    outbox: outbox::Outbox,
    /// Answers kept for repeated requests.
    idempotency: idempotency::Idempotency,
    /// Finds and repairs drift.
    consistency: consistency::Consistency,
    /// Erasure of people, and legal holds.
    erasure: erasure::Erasure,
    /// Export of a person's data.
    exports: exports::Exports,
    /// Rotation of the key-encryption key.
    key_rotation: key_rotation::KeyRotation,
    /// Retention.
    retention: retention::Retention,
    /// The servers that are alive, and what dead ones left behind.
    instances: instances::Instances,
}

/// The inside of a handle.
pub(crate) type Shared = Arc<Inner>;

/// Reads a stored name of an enum.
pub(crate) fn parse<T: DeserializeOwned>(name: &str) -> Result<T, Failure> {
    T::deserialize(StrDeserializer::<serde::de::value::Error>::new(name))
        .map_err(|_| DbError::Corrupt("a stored name is unknown").into())
}

/// The stored name of an enum that serialises to a string.
pub(crate) fn name<T: Serialize>(value: &T) -> Result<String, Failure> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(name) => Ok(name),
        _ => Err(DbError::internal("an enum is not stored as a name").into()),
    }
}

pub(crate) fn usd(nano: i64) -> Usd {
    Usd::from_nano(u64::try_from(nano).unwrap_or(0))
}

/// A count from a `bigint` that is never negative.
pub(crate) fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// A count as a `bigint`, cut to the largest.
pub(crate) fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Decisions as columns, for one `unnest`.
pub(crate) struct DecisionColumns {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) hooks: Vec<String>,
    pub(crate) verdicts: Vec<String>,
    pub(crate) rules: Vec<String>,
    pub(crate) reasons: Vec<String>,
}

impl DecisionColumns {
    pub(crate) fn of(decisions: &[Decision]) -> Result<Self, Failure> {
        Ok(Self {
            ids: decisions.iter().map(|d| d.id.uuid()).collect(),
            hooks: decisions
                .iter()
                .map(|d| name(&d.hook))
                .collect::<Result<_, _>>()?,
            verdicts: decisions
                .iter()
                .map(|d| name(&d.verdict))
                .collect::<Result<_, _>>()?,
            rules: decisions.iter().map(|d| d.rule_id.clone()).collect(),
            reasons: decisions.iter().map(|d| d.reason.clone()).collect(),
        })
    }
}
