//! What answers cost, and to whom.

use super::{Shared, bigint, count, usd};
use crate::{
    call::Call,
    error::{DbError, Failure},
};
use jiff::Timestamp;
use mainstay_domain::{
    AuditId, CorrelationId, PersonaId, Provenance, Tokens, UsageId, Usd, UserId, WorkspaceId,
};
use mainstay_resilience::Deadline;
use uuid::Uuid;

/// What answers cost.
#[derive(Clone)]
pub struct Usage(pub(crate) Shared);

/// An answer that a cache gave, to be written down later with others.
#[derive(Debug, Clone)]
pub struct CacheHit {
    /// The id of its usage record, made when it was given; writing a hit twice
    /// writes it once.
    pub usage_id: UsageId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Who asked.
    pub user_id: UserId,
    /// The execution's id that the client was told.
    pub source_id: Uuid,
    /// The persona that shaped it.
    pub persona_id: Option<PersonaId>,
    /// The model that had written it.
    pub model: Option<String>,
    /// Which tier gave it.
    pub provenance: Provenance,
    /// From the request's arrival to the answer, in milliseconds.
    pub elapsed_ms: u64,
    /// The request's correlation id.
    pub correlation_id: CorrelationId,
    /// When it was given.
    pub at: Timestamp,
}

/// By what usage is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UsageGroup {
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

impl UsageGroup {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Persona => "persona",
            Self::User => "user",
            Self::Agent => "agent",
            Self::Day => "day",
        }
    }
}

/// A line of a usage report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageLine {
    /// The model, id or day; `None` for answers without one.
    pub key: Option<String>,
    /// Answers and failed tries.
    pub requests: u64,
    /// Those that a cache gave.
    pub cache_hits: u64,
    /// Those that failed.
    pub failed: u64,
    /// Tokens.
    pub tokens: Tokens,
    /// What is known to have been spent.
    pub cost_usd: Usd,
    /// Model answers whose price is unknown; they are not in `cost_usd`.
    pub unpriced: u64,
}

// A hit that is already there, from a batch whose outcome was unknown, is left
// as it is, and so is its audit row.
pub(crate) const RECORD_BATCH: &str = "
WITH hits AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[],
        $8::bigint[], $9::timestamptz[], $10::uuid[], $11::uuid[])
    AS h (id, workspace_id, user_id, source_id, persona_id, model, provenance, elapsed_ms, at, audit_id, correlation_id)
), used AS (
    INSERT INTO usage (id, workspace_id, user_id, source_id, persona_id, model, provenance, status, reserved_nano,
        cost_nano, elapsed_ms, succeeded, created_at, settled_at)
    SELECT h.id, h.workspace_id, h.user_id, h.source_id, h.persona_id, h.model, h.provenance, 'settled', 0, 0,
        h.elapsed_ms, true, h.at, h.at
    FROM hits h JOIN workspaces w ON w.id = h.workspace_id
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), audited AS (
    INSERT INTO audit (id, workspace_id, at, actor_id, action, target_type, target_id, correlation_id, details)
    SELECT h.audit_id, h.workspace_id, h.at, h.user_id, 'execution.from_cache', 'execution', h.source_id, h.correlation_id,
        jsonb_build_object('provenance', h.provenance)
    FROM hits h JOIN used USING (id)
)
SELECT count(*) FROM used";

pub(crate) const REPORT: &str = "
SELECT CASE $5::text
           WHEN 'model' THEN model WHEN 'persona' THEN persona_id::text WHEN 'user' THEN user_id::text
           WHEN 'agent' THEN agent_id::text ELSE to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
       END AS key,
       count(*),
       count(*) FILTER (WHERE provenance LIKE 'cache.%'),
       count(*) FILTER (WHERE NOT succeeded),
       least(sum(input_tokens), 9223372036854775807)::bigint,
       least(sum(output_tokens), 9223372036854775807)::bigint,
       least(sum(cached_tokens), 9223372036854775807)::bigint,
       least(coalesce(sum(cost_nano), 0), 9223372036854775807)::bigint,
       count(*) FILTER (WHERE provenance = 'model' AND cost_nano IS NULL)
FROM usage
WHERE workspace_id = $1 AND created_at >= $2 AND created_at < $3 AND ($4::uuid IS NULL OR user_id = $4)
  AND status <> 'reserved'
GROUP BY 1 ORDER BY 8 DESC, 2 DESC, 1 LIMIT 1000";

impl Usage {
    /// Writes a batch of cache hits with their audit rows in one transaction,
    /// each once however often it is tried. Hits of workspaces that are gone
    /// are left out. Returns how many were new.
    ///
    /// # Errors
    /// When the database does not answer; the batch may then be tried again.
    pub async fn record_batch(
        &self,
        hits: &[CacheHit],
        deadline: Deadline,
    ) -> Result<u64, DbError> {
        if hits.is_empty() {
            return Ok(0);
        }
        self.0
            .run(deadline, |conn| async move {
                let ids: Vec<Uuid> = hits.iter().map(|h| h.usage_id.uuid()).collect();
                let workspaces: Vec<Uuid> = hits.iter().map(|h| h.workspace_id.uuid()).collect();
                let users: Vec<Uuid> = hits.iter().map(|h| h.user_id.uuid()).collect();
                let sources: Vec<Uuid> = hits.iter().map(|h| h.source_id).collect();
                let personas: Vec<Option<Uuid>> = hits
                    .iter()
                    .map(|h| h.persona_id.map(PersonaId::uuid))
                    .collect();
                let models: Vec<Option<&str>> = hits.iter().map(|h| h.model.as_deref()).collect();
                let tiers: Vec<&str> = hits.iter().map(|h| h.provenance.as_str()).collect();
                let elapsed: Vec<i64> = hits.iter().map(|h| bigint(h.elapsed_ms)).collect();
                let times: Vec<Timestamp> = hits.iter().map(|h| h.at).collect();
                let audits: Vec<Uuid> = hits.iter().map(|h| AuditId::at(h.at).uuid()).collect();
                let correlations: Vec<Uuid> =
                    hits.iter().map(|h| h.correlation_id.uuid()).collect();
                let row = conn
                    .query_one(
                        RECORD_BATCH,
                        &[
                            &ids,
                            &workspaces,
                            &users,
                            &sources,
                            &personas,
                            &models,
                            &tiers,
                            &elapsed,
                            &times,
                            &audits,
                            &correlations,
                        ],
                    )
                    .await?;
                Ok(count(row.try_get(0)?))
            })
            .await
    }

    /// Sums up the workspace's usage from `from` until before `to`, of one
    /// person when `only` is given, most expensive first, at most 1000 lines.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn report(
        &self,
        call: &Call,
        group: UsageGroup,
        from: Timestamp,
        to: Timestamp,
        only: Option<UserId>,
    ) -> Result<Vec<UsageLine>, DbError> {
        let only = only.map(UserId::uuid);
        self.0
            .run(call, |conn| async move {
                let rows = conn
                    .query(
                        REPORT,
                        &[&call.workspace(), &from, &to, &only, &group.as_str()],
                    )
                    .await?;
                rows.iter()
                    .map(|row| {
                        Ok(UsageLine {
                            key: row.try_get(0)?,
                            requests: count(row.try_get(1)?),
                            cache_hits: count(row.try_get(2)?),
                            failed: count(row.try_get(3)?),
                            tokens: Tokens {
                                input: count(row.try_get(4)?),
                                output: count(row.try_get(5)?),
                                cached: count(row.try_get(6)?),
                            },
                            cost_usd: usd(row.try_get(7)?),
                            unpriced: count(row.try_get(8)?),
                        })
                    })
                    .collect::<Result<Vec<_>, Failure>>()
            })
            .await
    }
}
