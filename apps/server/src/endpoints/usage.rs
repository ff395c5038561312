//! GET `/api/v1/usage`: what was spent.

use crate::{
    extract::ApiQuery,
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
    services::Now,
    wire::{self, Dollars, TokensBody},
};
use actix_web::http::Method;
use jiff::{SignedDuration, Timestamp};
use mainstay_identity::{Permission, permits};
use mainstay_persistence::{Call, Usage, UsageGroup, UsageLine};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// By what to group.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupBy {
    /// By model.
    Model,
    /// By persona.
    Persona,
    /// By person.
    User,
    /// By agent.
    Agent,
    /// By day, in UTC.
    Day,
}

/// Which usage, grouped how.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageQuery {
    /// By what to group. Default `day`.
    #[garde(skip)]
    group_by: Option<GroupBy>,
    /// From when on (RFC 3339). Default 30 days before `to`.
    #[garde(length(max = 64))]
    from: Option<String>,
    /// Until before when (RFC 3339). Default now.
    #[garde(length(max = 64))]
    to: Option<String>,
}

/// What was spent, line by line.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// From when on.
    from: Timestamp,
    /// Until when.
    to: Timestamp,
    /// The lines.
    items: Vec<LineBody>,
}

/// What one group spent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UsageLine")]
pub(crate) struct LineBody {
    /// The model, persona, person, agent or day; null for what has none.
    key: Option<String>,
    /// Questions.
    requests: u64,
    /// Those that a cache answered.
    cache_hits: u64,
    /// Those that failed.
    failed: u64,
    /// Tokens.
    usage: TokensBody,
    /// What they cost, as far as prices are known.
    cost_usd: Dollars,
    /// Questions whose price is unknown.
    unpriced: u64,
}

impl From<UsageLine> for LineBody {
    fn from(line: UsageLine) -> Self {
        Self {
            key: line.key,
            requests: line.requests,
            cache_hits: line.cache_hits,
            failed: line.failed,
            usage: line.tokens.into(),
            cost_usd: line.cost_usd.into(),
            unpriced: line.unpriced,
        }
    }
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/usage",
        "usage.report",
        Access::Requires(Permission::ReadUsage),
        report,
    )
    .summary("What was asked and what it cost")
    .description("Members see their own; operators and administrators see the workspace's.")
}

async fn report(
    call: Call,
    usage: Usage,
    now: Now,
    ApiQuery(query): ApiQuery<UsageQuery>,
) -> Result<Json<Report>, Problem> {
    let to = wire::time("/to", query.to.as_deref())?.unwrap_or(now.0);
    let month = SignedDuration::from_hours(30 * 24);
    let from = match wire::time("/from", query.from.as_deref())? {
        Some(from) => from,
        None => to.saturating_sub(month).unwrap_or(Timestamp::MIN),
    };
    if from >= to {
        return Err(Problem::field("/from", "must be before to"));
    }
    let group = match query.group_by.unwrap_or(GroupBy::Day) {
        GroupBy::Model => UsageGroup::Model,
        GroupBy::Persona => UsageGroup::Persona,
        GroupBy::User => UsageGroup::User,
        GroupBy::Agent => UsageGroup::Agent,
        GroupBy::Day => UsageGroup::Day,
    };
    let principal = call.principal();
    let only = (!permits(principal.role, Permission::ReadAllUsage)).then_some(principal.user_id);
    let lines = usage.report(&call, group, from, to, only).await?;
    Ok(Json(Report {
        from,
        to,
        items: lines.into_iter().map(Into::into).collect(),
    }))
}
