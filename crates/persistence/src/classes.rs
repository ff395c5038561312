//! The class of every column: what it holds, whose it is, and how it is kept.
//!
//! `docs/DATA-PROTECTION.md` shows this list; a test compares both with the
//! live schema, so a column cannot be added without saying what it holds.

/// What a column holds, as far as data protection is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataClass {
    /// Personal data, sealed by the person's data key.
    Sealed,
    /// A keyed or plain digest that cannot be read back.
    Digest,
    /// Key material, wrapped.
    Key,
    /// The id of a person: a pseudonym that leads nowhere once they are erased.
    Pseudonym,
    /// What a workspace wrote for its own use: personas, knowledge, names of
    /// agents. It must not hold personal data, and is readable to operators.
    Workspace,
    /// Ids, states, counts and times.
    Operational,
}

impl DataClass {
    /// The name that the document shows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Digest => "digest",
            Self::Key => "key",
            Self::Pseudonym => "pseudonym",
            Self::Workspace => "workspace",
            Self::Operational => "operational",
        }
    }
}

/// How long the rows of a table stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keeping {
    /// As long as what it belongs to.
    WithOwner,
    /// Until it is delivered or lapses, within a day.
    Transient,
    /// As the retention setting of this name says, in days.
    Days(&'static str),
    /// For good: without it history could not be verified.
    Forever,
}

impl Keeping {
    /// The words that the document shows.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::WithOwner => "with its owner".to_owned(),
            Self::Transient => "at most a day".to_owned(),
            Self::Days(setting) => format!("`database.retention.{setting}`"),
            Self::Forever => "for good".to_owned(),
        }
    }
}

/// A table and its columns.
#[derive(Debug, Clone, Copy)]
pub struct TableClass {
    /// Its name.
    pub name: &'static str,
    /// The column that names the person whose rows they are.
    pub subject: Option<&'static str>,
    /// How long its rows stay.
    pub keeping: Keeping,
    /// Its columns in order.
    pub columns: &'static [(&'static str, DataClass)],
}

use DataClass::{Digest, Key, Operational as Op, Pseudonym as Who, Sealed, Workspace as Ws};

macro_rules! table {
    ($name:literal, $subject:expr, $keeping:expr, [$($column:literal $class:expr),+ $(,)?]) => {
        TableClass { name: $name, subject: $subject, keeping: $keeping, columns: &[$(($column, $class)),+] }
    };
}

/// Every table of the schema.
pub const TABLES: &[TableClass] = &[
    table!("agents", Some("owner_id"), Keeping::WithOwner, [
        "id" Op, "workspace_id" Op, "owner_id" Who, "name" Ws, "kind" Ws, "persona_id" Op,
        "conversation_id" Op, "state" Op, "version" Op, "created_at" Op, "updated_at" Op,
    ]),
    table!("audit", Some("actor_id"), Keeping::Forever, [
        "id" Op, "workspace_id" Op, "at" Op, "actor_id" Who, "action" Op, "target_type" Op,
        "target_id" Who, "correlation_id" Op, "details" Op,
    ]),
    table!("conversations", Some("owner_id"), Keeping::Days("conversation_days"), [
        "id" Op, "workspace_id" Op, "owner_id" Who, "agent_id" Op, "persona_id" Op,
        "title_sealed" Sealed, "version" Op, "created_at" Op, "updated_at" Op,
    ]),
    table!("data_keys", Some("subject_id"), Keeping::WithOwner, [
        "workspace_id" Op, "subject_id" Who, "wrapped_by" Op, "wrapped" Key, "created_at" Op,
    ]),
    table!("decisions", Some("user_id"), Keeping::Days("decision_days"), [
        "id" Op, "workspace_id" Op, "user_id" Who, "source_id" Op, "hook" Op, "verdict" Op,
        "rule_id" Op, "reason" Op, "correlation_id" Op, "created_at" Op,
    ]),
    table!("erasures", Some("subject_id"), Keeping::Forever, [
        "workspace_id" Op, "subject_id" Who, "sessions" Op, "erased_at" Op, "correlation_id" Op,
    ]),
    table!("executions", Some("user_id"), Keeping::Days("execution_days"), [
        "id" Op, "workspace_id" Op, "user_id" Who, "cache_key" Digest, "persona_id" Op, "model" Op,
        "usage_id" Op, "instance_id" Op, "status" Op, "reusable" Op, "answer_sealed" Sealed,
        "failure" Op, "created_at" Op, "finished_at" Op, "fresh_until" Op,
    ]),
    table!("idempotency_keys", Some("user_id"), Keeping::Transient, [
        "workspace_id" Op, "user_id" Who, "key_hash" Digest, "request_hash" Digest, "claim_id" Op,
        "status" Op, "content_type" Op, "body_sealed" Sealed, "created_at" Op, "expires_at" Op,
    ]),
    table!("instances", None, Keeping::Transient, ["id" Op, "started_at" Op, "seen_at" Op]),
    table!("invitations", Some("invited_by"), Keeping::Days("session_days"), [
        "id" Op, "workspace_id" Op, "token_hash" Digest, "role" Op, "invited_by" Who,
        "created_at" Op, "expires_at" Op, "redeemed_at" Op, "redeemed_by" Who,
    ]),
    table!("knowledge_documents", None, Keeping::WithOwner, [
        "id" Op, "workspace_id" Op, "title" Ws, "source" Ws, "content" Ws, "version" Op,
        "created_at" Op, "updated_at" Op,
    ]),
    table!("knowledge_passages", None, Keeping::WithOwner, [
        "workspace_id" Op, "document_id" Op, "ordinal" Op, "title" Ws, "text" Ws, "search" Ws,
    ]),
    table!("legal_holds", Some("subject_id"), Keeping::WithOwner, [
        "workspace_id" Op, "subject_id" Who, "placed_by" Who, "placed_at" Op,
    ]),
    table!("messages", Some("owner_id"), Keeping::WithOwner, [
        "id" Op, "workspace_id" Op, "owner_id" Who, "conversation_id" Op, "run_id" Op, "role" Op,
        "status" Op, "content_sealed" Sealed, "provenance" Op, "persona_ids" Op, "model" Op,
        "citations" Ws, "input_tokens" Op, "output_tokens" Op, "cached_tokens" Op, "cost_nano" Op,
        "degraded" Op, "elapsed_ms" Op, "instance_id" Op, "usage_id" Op, "created_at" Op,
        "updated_at" Op,
    ]),
    table!("outbox", None, Keeping::Transient, [
        "id" Op, "workspace_id" Op, "topic" Op, "kind" Op, "payload" Who, "correlation_id" Op,
        "created_at" Op, "claimed_until" Op, "attempts" Op,
    ]),
    table!("persona_versions", Some("changed_by"), Keeping::WithOwner, [
        "workspace_id" Op, "persona_id" Op, "version" Op, "draft" Ws, "changed_by" Who,
        "created_at" Op,
    ]),
    table!("personas", None, Keeping::WithOwner, [
        "id" Op, "workspace_id" Op, "name" Ws, "description" Ws, "system_prompt" Ws, "model" Op,
        "temperature" Op, "max_tokens" Op, "version" Op, "archived_at" Op, "created_at" Op,
        "updated_at" Op,
    ]),
    table!("refinery_schema_history", None, Keeping::Forever, [
        "version" Op, "name" Op, "applied_on" Op, "checksum" Op,
    ]),
    table!("refresh_tokens", None, Keeping::WithOwner, [
        "token_hash" Digest, "workspace_id" Op, "session_id" Op, "issued_at" Op, "replaced_at" Op,
    ]),
    table!("schema_requirement", None, Keeping::Forever, ["only_row" Op, "oldest_version" Op]),
    table!("sessions", Some("user_id"), Keeping::Days("session_days"), [
        "id" Op, "workspace_id" Op, "user_id" Who, "created_at" Op, "last_used_at" Op,
        "expires_at" Op, "revoked_at" Op, "revoked_why" Op,
    ]),
    table!("signing_keys", None, Keeping::Forever, [
        "kid" Op, "wrapped_by" Op, "wrapped" Key, "pkcs8_sealed" Key, "owner_id" Op,
        "created_at" Op, "retires_at" Op, "expires_at" Op,
    ]),
    table!("usage", Some("user_id"), Keeping::Days("usage_days"), [
        "id" Op, "workspace_id" Op, "user_id" Who, "source_id" Op, "persona_id" Op, "agent_id" Op,
        "model" Op, "provenance" Op, "status" Op, "reserved_nano" Op, "cost_nano" Op,
        "input_tokens" Op, "output_tokens" Op, "cached_tokens" Op, "elapsed_ms" Op, "succeeded" Op,
        "created_at" Op, "settled_at" Op,
    ]),
    table!("users", Some("id"), Keeping::WithOwner, [
        "id" Who, "workspace_id" Op, "email_sealed" Sealed, "email_index" Digest,
        "full_name_sealed" Sealed, "password_hash" Digest, "role" Op, "status" Op, "version" Op,
        "created_at" Op, "updated_at" Op,
    ]),
    table!("workspaces", None, Keeping::Forever, [
        "id" Op, "name" Ws, "governance_level" Op, "request_ceiling_nano" Op, "share_answers" Op,
        "blocked_terms" Ws, "version" Op, "created_at" Op, "updated_at" Op,
    ]),
];
