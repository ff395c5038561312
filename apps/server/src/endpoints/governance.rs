//! What governance decided, and who did what.

mod evaluate;

use crate::{
    extract::ApiQuery,
    operation::{Access, Operation},
    problem::Problem,
    reply::{Json, Page},
    wire::{self, DecisionBody, ListQuery},
};
use actix_web::http::Method;
use jiff::Timestamp;
use mainstay_identity::Permission;
use mainstay_persistence::{Audit, AuditFilter, AuditRecord, Call, Decisions, LoggedDecision};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A decision with where it was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LoggedBody {
    /// The decision.
    decision: DecisionBody,
    /// Whose question it was.
    user_id: Uuid,
    /// The execution or message.
    source_id: Uuid,
    /// The request.
    correlation_id: Uuid,
    /// When it was made.
    created_at: Timestamp,
}

impl From<LoggedDecision> for LoggedBody {
    fn from(logged: LoggedDecision) -> Self {
        Self {
            decision: logged.decision.into(),
            user_id: logged.user_id.uuid(),
            source_id: logged.source_id,
            correlation_id: logged.correlation_id.uuid(),
            created_at: logged.created_at,
        }
    }
}

/// One entry of the audit log.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditRecord")]
pub(crate) struct RecordBody {
    /// Its id.
    id: Uuid,
    /// When.
    at: Timestamp,
    /// Who; null for the system itself.
    actor_id: Option<Uuid>,
    /// What, such as `persona.updated`.
    action: String,
    /// The kind of thing.
    target_type: String,
    /// The thing.
    target_id: Option<Uuid>,
    /// The request.
    correlation_id: Uuid,
    /// Facts and ids, never personal data.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    details: Value,
}

impl From<AuditRecord> for RecordBody {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id.uuid(),
            at: record.at,
            actor_id: record.actor_id.map(mainstay_domain::UserId::uuid),
            action: record.action,
            target_type: record.target_type,
            target_id: record.target_id,
            correlation_id: record.correlation_id.uuid(),
            details: record.details,
        }
    }
}

/// Which decisions.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionsQuery {
    /// How many items, 1 to 200. Default 50.
    #[garde(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = 200))]
    cursor: Option<String>,
    /// Only those about this execution or message.
    #[garde(length(max = 64))]
    source_id: Option<String>,
}

/// Which entries.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// How many items, 1 to 200. Default 50.
    #[garde(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = 200))]
    cursor: Option<String>,
    /// Only this action, such as `persona.changed`.
    #[garde(length(max = 120), pattern(r"^[a-z_]+\.[a-z_]+$"))]
    action: Option<String>,
    /// Only what this person did.
    #[garde(length(max = 64))]
    actor_id: Option<String>,
    /// Only what was done to this thing.
    #[garde(length(max = 64))]
    target_id: Option<String>,
    /// Only this request.
    #[garde(length(max = 64))]
    correlation_id: Option<String>,
    /// From when on (RFC 3339).
    #[garde(length(max = 64))]
    from: Option<String>,
    /// Until before when (RFC 3339).
    #[garde(length(max = 64))]
    to: Option<String>,
}

/// The area's operations.
pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(
            Method::GET,
            "/api/v1/governance/decisions",
            "governance.decisions",
            Access::Requires(Permission::ReadGovernance),
            decisions,
        )
        .summary("What governance decided"),
        evaluate::operation(),
        Operation::new(
            Method::GET,
            "/api/v1/governance/audit",
            "governance.audit",
            Access::Requires(Permission::ReadAudit),
            audit,
        )
        .summary("Who did what"),
    ]
}

async fn decisions(
    call: Call,
    decisions: Decisions,
    ApiQuery(query): ApiQuery<DecisionsQuery>,
) -> Result<Json<Page<LoggedBody>>, Problem> {
    let source = wire::id("/source_id", query.source_id.as_deref())?;
    let part = ListQuery {
        limit: query.limit,
        cursor: query.cursor,
    };
    let page = decisions.list(&call, part.request()?, source).await?;
    Ok(Json(wire::page(page)))
}

async fn audit(
    call: Call,
    audit: Audit,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Json<Page<RecordBody>>, Problem> {
    let filter = AuditFilter {
        action: query.action,
        actor_id: wire::id("/actor_id", query.actor_id.as_deref())?.map(Into::into),
        target_id: wire::id("/target_id", query.target_id.as_deref())?,
        correlation_id: wire::id("/correlation_id", query.correlation_id.as_deref())?
            .map(Into::into),
        from: wire::time("/from", query.from.as_deref())?,
        to: wire::time("/to", query.to.as_deref())?,
    };
    let part = ListQuery {
        limit: query.limit,
        cursor: query.cursor,
    };
    let page = audit.list(&call, part.request()?, &filter).await?;
    Ok(Json(wire::page(page)))
}
