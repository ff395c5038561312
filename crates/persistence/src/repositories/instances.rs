//! The servers that are alive, and what dead ones left behind.

use super::{Shared, count};
use crate::{error::DbError, trail::Actor};
use jiff::{SignedDuration, Timestamp};
use mainstay_resilience::Deadline;
use std::time::Duration;
use uuid::Uuid;

/// The servers that are alive, and what dead ones left behind.
#[derive(Clone)]
pub struct Instances(pub(crate) Shared);

const BEAT: &str = "
INSERT INTO instances (id, started_at, seen_at) VALUES ($1, $2, $2)
ON CONFLICT (id) DO UPDATE SET seen_at = $2";

const LEAVE: &str = "DELETE FROM instances WHERE id = $1";

// What was written until then is kept; what may have been spent is charged as
// reserved, since nobody knows better.
pub(crate) const INTERRUPT: &str = "
WITH dead_runs AS (
    UPDATE messages m SET status = 'interrupted', instance_id = NULL, updated_at = $1
    WHERE m.status = 'streaming'
      AND NOT EXISTS (SELECT FROM instances i WHERE i.id = m.instance_id AND i.seen_at > $2)
      AND m.created_at < $2
    RETURNING m.id, m.workspace_id, m.owner_id, m.conversation_id, m.usage_id
), dead_executions AS (
    UPDATE executions e SET status = 'interrupted', failure = 'interrupted', finished_at = $1
    WHERE e.status = 'running'
      AND NOT EXISTS (SELECT FROM instances i WHERE i.id = e.instance_id AND i.seen_at > $2)
      AND e.created_at < $2
    RETURNING e.id, e.workspace_id, e.user_id, e.usage_id
), dead AS (
    SELECT id, workspace_id, owner_id AS user_id, usage_id, 'run.interrupted' AS action, 'message' AS target_type FROM dead_runs
    UNION ALL
    SELECT id, workspace_id, user_id, usage_id, 'execution.interrupted', 'execution' FROM dead_executions
), charged AS (
    UPDATE usage u SET status = 'released', cost_nano = u.reserved_nano, succeeded = false, settled_at = $1
    FROM dead WHERE u.workspace_id = dead.workspace_id AND u.id = dead.usage_id AND u.status = 'reserved'
), audited AS (
    INSERT INTO audit (id, workspace_id, at, actor_id, action, target_type, target_id, correlation_id, details)
    SELECT gen_random_uuid(), workspace_id, $1, NULL, action, target_type, id, $3, '{}' FROM dead
), published AS (
    INSERT INTO outbox (workspace_id, topic, kind, payload, correlation_id, created_at)
    SELECT workspace_id, 'conversation.' || conversation_id::text, 'message.finished',
        jsonb_build_object('message_id', id, 'status', 'interrupted'), $3, $1
    FROM dead_runs
)
SELECT count(*) FROM dead";

impl Instances {
    /// Says that `instance` is alive. To be said every few seconds.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn beat(&self, instance: Uuid, deadline: Deadline) -> Result<(), DbError> {
        let now = self.0.now();
        self.0
            .run(deadline, |conn| async move {
                conn.execute(BEAT, &[&instance, &now]).await.map(drop)
            })
            .await
    }

    /// Says that `instance` goes away in good order.
    ///
    /// # Errors
    /// When the database does not answer; its silence then says the same.
    pub async fn leave(&self, instance: Uuid, deadline: Deadline) -> Result<(), DbError> {
        self.0
            .run(deadline, |conn| async move {
                conn.execute(LEAVE, &[&instance]).await.map(drop)
            })
            .await
    }

    /// Ends the runs and executions of servers that were silent for `silence`:
    /// they become `interrupted`, and their reservations are charged. Returns
    /// how many there were.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn interrupt_orphans(
        &self,
        silence: Duration,
        deadline: Deadline,
    ) -> Result<u64, DbError> {
        let now = self.0.now();
        let silence = SignedDuration::try_from(silence).unwrap_or(SignedDuration::MAX);
        let since = now.checked_sub(silence).unwrap_or(Timestamp::MIN);
        let actor = Actor {
            workspace: Uuid::nil(),
            user: None,
            correlation: mainstay_domain::CorrelationId::at(now).uuid(),
            at: now,
        };
        self.0
            .run(deadline, |conn| async move {
                let row = conn
                    .query_one(INTERRUPT, &[&actor.at, &since, &actor.correlation])
                    .await?;
                Ok(count(row.try_get(0)?))
            })
            .await
    }
}
