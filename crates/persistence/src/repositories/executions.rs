//! One-shot questions and their answers, which are also the database tier of
//! the answer cache.

use super::{DecisionColumns, Shared, bigint};
use crate::{
    call::Call,
    error::{DbError, Failure},
    keys::Field,
};
use jiff::Timestamp;
use mainstay_domain::{Answer, AuditId, ExecutionId, PersonaId, UsageId, Usd};
use std::time::Duration;
use uuid::Uuid;

pub(super) const ANSWER: Field = Field::of("executions", "answer");

/// One-shot questions.
#[derive(Clone)]
pub struct Executions(pub(crate) Shared);

/// A question that is about to be answered.
#[derive(Debug, Clone)]
pub struct BeginExecution {
    /// Its id.
    pub id: ExecutionId,
    /// The id of the usage record that holds the reservation.
    pub usage_id: UsageId,
    /// The key of everything that the answer depends on.
    pub cache_key: [u8; 32],
    /// The persona that will answer.
    pub persona_id: Option<PersonaId>,
    /// The model that will be asked, when one is known.
    pub model: Option<String>,
    /// What the answer may cost.
    pub reserved: Usd,
    /// This server's id, by which its work is found when it goes away.
    pub instance_id: Uuid,
}

/// An answered question.
#[derive(Debug, Clone)]
pub struct FinishExecution {
    /// The question.
    pub id: ExecutionId,
    /// The usage record of the reservation.
    pub usage_id: UsageId,
    /// The answer, with its usage, cost and decisions.
    pub answer: Answer,
    /// How long it may be served again to the same key, or `None` for never.
    pub reusable_for: Option<Duration>,
}

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAnswer {
    /// The answer as it was given.
    pub answer: Answer,
    /// When it was given.
    pub finished_at: Timestamp,
    /// Until when it counts as fresh.
    pub fresh_until: Timestamp,
}

pub(crate) const BEGIN: &str = "
WITH begun AS (
    INSERT INTO executions (id, workspace_id, user_id, cache_key, persona_id, model, usage_id, instance_id, status, reusable, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'running', false, $9)
), reserved AS (
    INSERT INTO usage (id, workspace_id, user_id, source_id, persona_id, model, status, reserved_nano, created_at)
    VALUES ($7, $2, $3, $1, $5, $6, 'reserved', $10, $9)
)
INSERT INTO audit (id, workspace_id, at, actor_id, action, target_type, target_id, correlation_id, details)
VALUES ($11, $2, $9, $3, 'execution.begun', 'execution', $1, $12, jsonb_build_object('reserved_nano', $10::bigint, 'model', $6::text))";

pub(crate) const FINISH: &str = "
WITH finished AS (
    UPDATE executions SET status = 'complete', answer_sealed = $4, model = $5, reusable = $6::timestamptz IS NOT NULL,
        fresh_until = $6, finished_at = $7
    WHERE workspace_id = $1 AND user_id = $2 AND id = $3 AND status = 'running'
    RETURNING id
), settled AS (
    UPDATE usage SET status = 'settled', provenance = $8, model = $5, input_tokens = $9, output_tokens = $10,
        cached_tokens = $11, cost_nano = $12, elapsed_ms = $13, succeeded = true, settled_at = $7
    FROM finished WHERE usage.workspace_id = $1 AND usage.id = $14 AND usage.status = 'reserved'
), decided AS (
    INSERT INTO decisions (id, workspace_id, user_id, source_id, hook, verdict, rule_id, reason, correlation_id, created_at)
    SELECT d.id, $1, $2, $3, d.hook, d.verdict, d.rule_id, d.reason, $15, $7
    FROM finished, unnest($16::uuid[], $17::text[], $18::text[], $19::text[], $20::text[]) AS d (id, hook, verdict, rule_id, reason)
), audited AS (
    INSERT INTO audit (id, workspace_id, at, actor_id, action, target_type, target_id, correlation_id, details)
    SELECT $21, $1, $7, $2, 'execution.finished', 'execution', $3, $15,
        jsonb_build_object('provenance', $8::text, 'model', $5::text, 'cost_nano', $12::bigint, 'degraded', $22::boolean)
    FROM finished
)
SELECT id FROM finished";

const FAIL: &str = "
WITH failed AS (
    UPDATE executions SET status = 'failed', failure = $4, finished_at = $5
    WHERE workspace_id = $1 AND user_id = $2 AND id = $3 AND status = 'running'
    RETURNING id
), released AS (
    UPDATE usage SET status = 'released', cost_nano = $6, succeeded = false, settled_at = $5
    FROM failed WHERE usage.workspace_id = $1 AND usage.id = $7 AND usage.status = 'reserved'
), audited AS (
    INSERT INTO audit (id, workspace_id, at, actor_id, action, target_type, target_id, correlation_id, details)
    SELECT $8, $1, $5, $2, 'execution.failed', 'execution', $3, $9, jsonb_build_object('failure', $4::text, 'cost_nano', $6::bigint)
    FROM failed
)
SELECT id FROM failed";

pub(crate) const FIND_EXACT: &str = "
SELECT id, user_id, answer_sealed, finished_at, fresh_until FROM executions
WHERE workspace_id = $1 AND cache_key = $2 AND reusable AND fresh_until > $3
ORDER BY fresh_until DESC LIMIT 1";

pub(crate) const FIND_STALE: &str = "
SELECT id, user_id, answer_sealed, finished_at, fresh_until FROM executions
WHERE workspace_id = $1 AND cache_key = $2 AND reusable
ORDER BY fresh_until DESC LIMIT 1";

impl Executions {
    /// The freshest answer that was given to the same key and is still fresh.
    ///
    /// # Errors
    /// When the database does not answer or the stored answer does not open.
    pub async fn find_exact(
        &self,
        call: &Call,
        cache_key: &[u8; 32],
    ) -> Result<Option<StoredAnswer>, DbError> {
        let now = self.0.now();
        let key: &[u8] = cache_key;
        self.0
            .run(call, |conn| async move {
                let found = conn
                    .query_opt(FIND_EXACT, &[&call.workspace(), &key, &now])
                    .await?;
                self.stored(&conn, call, found).await
            })
            .await
    }

    /// The latest answer that was given to the same key, fresh or not: a plan B
    /// when no model answers.
    ///
    /// # Errors
    /// As [`Executions::find_exact`].
    pub async fn find_stale(
        &self,
        call: &Call,
        cache_key: &[u8; 32],
    ) -> Result<Option<StoredAnswer>, DbError> {
        let key: &[u8] = cache_key;
        self.0
            .run(call, |conn| async move {
                let found = conn
                    .query_opt(FIND_STALE, &[&call.workspace(), &key])
                    .await?;
                self.stored(&conn, call, found).await
            })
            .await
    }

    async fn stored(
        &self,
        conn: &crate::database::Conn,
        call: &Call,
        row: Option<tokio_postgres::Row>,
    ) -> Result<Option<StoredAnswer>, Failure> {
        let Some(row) = row else { return Ok(None) };
        let sealer = self
            .0
            .sealer(conn, call.workspace(), row.try_get(1)?)
            .await?;
        let json = sealer.open(ANSWER, row.try_get(0)?, row.try_get(2)?)?;
        Ok(Some(StoredAnswer {
            answer: serde_json::from_str(&json)
                .map_err(|_| DbError::Corrupt("executions.answer"))?,
            finished_at: row.try_get(3)?,
            fresh_until: row.try_get(4)?,
        }))
    }

    /// Notes that a question is about to be answered and reserves what it may cost.
    ///
    /// # Errors
    /// `Conflict("id")` when the id is taken.
    pub async fn begin(&self, call: &Call, new: &BeginExecution) -> Result<(), DbError> {
        let now = self.0.now();
        self.0
            .run(call, |conn| async move {
                conn.execute(
                    BEGIN,
                    &[
                        &new.id.uuid(),
                        &call.workspace(),
                        &call.user(),
                        &new.cache_key.as_slice(),
                        &new.persona_id.map(PersonaId::uuid),
                        &new.model,
                        &new.usage_id.uuid(),
                        &new.instance_id,
                        &now,
                        &new.reserved.nano(),
                        &AuditId::at(now).uuid(),
                        &call.correlation(),
                    ],
                )
                .await
                .map(drop)
            })
            .await
    }

    /// Stores the answer and settles its cost. Only the first end counts.
    ///
    /// # Errors
    /// `Conflict("finished")` when it had ended before or is not the caller's.
    pub async fn finish(&self, call: &Call, end: &FinishExecution) -> Result<(), DbError> {
        let now = self.0.now();
        let fresh_until = end.reusable_for.map(|ttl| {
            let ttl = jiff::SignedDuration::try_from(ttl).unwrap_or(jiff::SignedDuration::MAX);
            now.checked_add(ttl).unwrap_or(Timestamp::MAX)
        });
        self.0
            .run(call, |conn| async move {
                let (workspace, user) = (call.workspace(), call.user());
                let sealer = self.0.sealer(&conn, workspace, user).await?;
                let answer = &end.answer;
                let decisions = DecisionColumns::of(&answer.decisions)?;
                let json = serde_json::to_vec(answer)?;
                let rows = conn
                    .query(
                        FINISH,
                        &[
                            &workspace,
                            &user,
                            &end.id.uuid(),
                            &sealer.seal(ANSWER, end.id.uuid(), &json)?,
                            &answer.model,
                            &fresh_until,
                            &now,
                            &answer.provenance.as_str(),
                            &bigint(answer.usage.input),
                            &bigint(answer.usage.output),
                            &bigint(answer.usage.cached.min(answer.usage.input)),
                            &answer.cost_usd.map(Usd::nano),
                            &bigint(answer.elapsed_ms),
                            &end.usage_id.uuid(),
                            &call.correlation(),
                            &decisions.ids,
                            &decisions.hooks,
                            &decisions.verdicts,
                            &decisions.rules,
                            &decisions.reasons,
                            &AuditId::at(now).uuid(),
                            &answer.degraded,
                        ],
                    )
                    .await?;
                if rows.is_empty() {
                    return Err(DbError::Conflict("finished").into());
                }
                Ok(())
            })
            .await
    }

    /// Ends a question without an answer, with a stable word for why, and gives
    /// the reservation back but for what was spent nevertheless.
    ///
    /// # Errors
    /// `Conflict("finished")` when it had ended before or is not the caller's.
    pub async fn fail(
        &self,
        call: &Call,
        id: ExecutionId,
        usage_id: UsageId,
        failure: &str,
        spent: Option<Usd>,
    ) -> Result<(), DbError> {
        let now = self.0.now();
        self.0
            .run(call, |conn| async move {
                let rows = conn
                    .query(
                        FAIL,
                        &[
                            &call.workspace(),
                            &call.user(),
                            &id.uuid(),
                            &failure,
                            &now,
                            &spent.map(Usd::nano),
                            &usage_id.uuid(),
                            &AuditId::at(now).uuid(),
                            &call.correlation(),
                        ],
                    )
                    .await?;
                if rows.is_empty() {
                    return Err(DbError::Conflict("finished").into());
                }
                Ok(())
            })
            .await
    }
}
