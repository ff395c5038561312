//! GET `/api/v1/usage`.

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

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The longest time that one report covers.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366);

/// What to sum up.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageQuery {
    /// By what. Default `day`.
    #[garde(skip)]
    group_by: Option<GroupBy>,
    /// From this time on (RFC 3339). Default 30 days before `to`.
    #[garde(length(max = 64))]
    from: Option<String>,
    /// Until before this time (RFC 3339), at most 366 days after `from`. Default now.
    #[garde(length(max = 64))]
    to: Option<String>,
}

/// By what usage is summed up.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupBy {
    /// The model's name.
    Model,
    /// The persona's id.
    Persona,
    /// The user's id.
    User,
    /// The agent's id.
    Agent,
    /// The UTC day.
    Day,
}

impl From<GroupBy> for UsageGroup {
    fn from(group: GroupBy) -> Self {
        match group {
            GroupBy::Model => Self::Model,
            GroupBy::Persona => Self::Persona,
            GroupBy::User => Self::User,
            GroupBy::Agent => Self::Agent,
            GroupBy::Day => Self::Day,
        }
    }
}

/// A report.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UsageReport {
    /// By what it is summed up.
    group_by: GroupBy,
    /// From when on.
    from: Timestamp,
    /// Until before when.
    to: Timestamp,
    /// The lines, most expensive first, at most 1000.
    items: Vec<UsageBody>,
}

/// A line of a report.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UsageLine")]
pub(crate) struct UsageBody {
    /// The model, id or day; null for answers without one.
    key: Option<String>,
    /// Answers and failed tries.
    requests: u64,
    /// Those that a cache gave.
    cache_hits: u64,
    /// Those that failed.
    failed: u64,
    /// Tokens that providers counted.
    usage: TokensBody,
    /// What is known to have been spent.
    cost_usd: Dollars,
    /// Model answers whose price is unknown; they are not in `cost_usd`.
    unpriced: u64,
}

impl From<UsageLine> for UsageBody {
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
    .summary("What answers cost")
    .description("Members see their own; operators and administrators see the whole workspace's.")
}

async fn report(
    call: Call,
    usage: Usage,
    Now(now): Now,
    ApiQuery(query): ApiQuery<UsageQuery>,
) -> Result<Json<UsageReport>, Problem> {
    let to = wire::time("/to", query.to.as_deref())?.unwrap_or(now);
    let from = match wire::time("/from", query.from.as_deref())? {
        Some(from) => from,
        None => to.saturating_sub(DAY * 30).unwrap_or(Timestamp::MIN),
    };
    if from >= to {
        return Err(Problem::field("/from", "must be before to"));
    }
    if to.duration_since(from) > LONGEST {
        return Err(Problem::field("/from", "must be at most 366 days before to"));
    }
    let principal = call.principal();
    let sees_all = permits(principal.role, Permission::ReadAllUsage);
    let only = (!sees_all).then_some(principal.user_id);
    let group_by = query.group_by.unwrap_or(GroupBy::Day);
    let lines = usage
        .report(&call, group_by.into(), from, to, only)
        .await?;
    Ok(Json(UsageReport {
        group_by,
        from,
        to,
        items: lines.into_iter().map(Into::into).collect(),
    }))
}
