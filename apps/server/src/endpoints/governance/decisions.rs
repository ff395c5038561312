//! GET `/api/v1/governance/decisions`.

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
use mainstay_persistence::{Call, Decisions, LoggedDecision};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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

/// A decision with its circumstances.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LoggedDecision")]
pub(crate) struct LoggedBody {
    #[serde(flatten)]
    decision: DecisionBody,
    /// Who had asked.
    user_id: Uuid,
    /// The execution or message that it was about.
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

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/governance/decisions",
        "governance.decisions",
        Access::Requires(Permission::ReadGovernance),
        list,
    )
    .summary("What governance decided in the workspace")
    .description("Newest first. A reason never repeats what was found.")
}

async fn list(
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
