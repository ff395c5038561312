//! GET `/api/v1/governance/audit`.

use crate::{
    extract::ApiQuery,
    operation::{Access, Operation},
    problem::Problem,
    reply::{Json, Page},
    wire::{self, ListQuery},
};
use actix_web::http::Method;
use jiff::Timestamp;
use mainstay_identity::Permission;
use mainstay_persistence::{Audit, AuditFilter, AuditRecord, Call};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which rows of the audit log.
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
    #[garde(length(min = 1, max = 100), pattern(r"^[a-z_]+\.[a-z_]+$"))]
    action: Option<String>,
    /// Only what this person did.
    #[garde(length(max = 64))]
    actor_id: Option<String>,
    /// Only what was done to this.
    #[garde(length(max = 64))]
    target_id: Option<String>,
    /// Only what was done in this request.
    #[garde(length(max = 64))]
    correlation_id: Option<String>,
    /// From this time on (RFC 3339).
    #[garde(length(max = 64))]
    from: Option<String>,
    /// Until before this time (RFC 3339).
    #[garde(length(max = 64))]
    to: Option<String>,
}

/// A row of the audit log: ids and facts, no personal data.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditRecord")]
pub(crate) struct AuditBody {
    /// Its id.
    id: Uuid,
    /// When it happened.
    at: Timestamp,
    /// Who did it; null for the system.
    actor_id: Option<Uuid>,
    /// What was done.
    action: String,
    /// To what kind of thing.
    target_type: String,
    /// To which one.
    target_id: Option<Uuid>,
    /// In which request.
    correlation_id: Uuid,
    /// The facts.
    details: serde_json::Value,
}

impl From<AuditRecord> for AuditBody {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id.uuid(),
            at: record.at,
            actor_id: record.actor_id.map(|id| id.uuid()),
            action: record.action,
            target_type: record.target_type,
            target_id: record.target_id,
            correlation_id: record.correlation_id.uuid(),
            details: record.details,
        }
    }
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/governance/audit",
        "governance.audit",
        Access::Requires(Permission::ReadAudit),
        list,
    )
    .summary("What was done in the workspace, by whom and in which request")
    .description("Newest first. Every change of state writes its row in its own transaction.")
}

async fn list(
    call: Call,
    audit: Audit,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Json<Page<AuditBody>>, Problem> {
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
