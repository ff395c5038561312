//! Events on their way out.
//!
//! A change leaves its event in its own transaction. A publisher claims events
//! for a while, hands them over and deletes them. When it dies in between,
//! another claims them again, so whoever receives them must know them by id.

use super::Shared;
use crate::error::{DbError, Failure};
use jiff::{SignedDuration, Timestamp};
use mainstay_domain::{CorrelationId, WorkspaceId};
use mainstay_resilience::Deadline;
use serde_json::Value;
use std::{future::Future, time::Duration};
use uuid::Uuid;

/// Events on their way out.
#[derive(Clone)]
pub struct Outbox(pub(crate) Shared);

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEvent {
    /// Its id; the same event handed over twice has the same id.
    pub id: i64,
    /// The workspace that it happened in.
    pub workspace_id: WorkspaceId,
    /// Where it belongs, such as `conversation.…`.
    pub topic: String,
    /// What happened, such as `message.finished`.
    pub kind: String,
    /// Ids to look it up by; no personal data.
    pub payload: Value,
    /// The request that caused it.
    pub correlation_id: CorrelationId,
    /// When it happened.
    pub created_at: Timestamp,
    /// How often it was claimed, this time included.
    pub attempts: i32,
}

/// How long a claim holds.
const CLAIM: SignedDuration = SignedDuration::from_secs(30);
/// How many events are claimed at once.
const BATCH: u32 = 100;
/// How often the outbox is looked at when nothing rings.
const POLL: Duration = Duration::from_secs(1);
/// The limit of one look.
const LIMIT: Duration = Duration::from_secs(5);

// Rows that another publisher is claiming just now are passed over.
pub(crate) const CLAIM_BATCH: &str = "
WITH mine AS (
    SELECT id FROM outbox WHERE claimed_until < $1 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE outbox SET claimed_until = $2, attempts = attempts + 1 FROM mine WHERE outbox.id = mine.id
RETURNING outbox.id, workspace_id, topic, kind, payload, correlation_id, created_at, attempts";

const DONE: &str = "DELETE FROM outbox WHERE id = ANY($1)";

impl Outbox {
    /// Claims up to `batch` events for half a minute, in order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim(&self, batch: u32, deadline: Deadline) -> Result<Vec<OutboxEvent>, DbError> {
        let now = self.0.now();
        let until = now.checked_add(CLAIM).unwrap_or(Timestamp::MAX);
        self.0
            .run(deadline, |conn| async move {
                let rows = conn
                    .query(CLAIM_BATCH, &[&now, &until, &i64::from(batch.min(1_000))])
                    .await?;
                let events = rows.iter().map(|row| {
                    Ok(OutboxEvent {
                        id: row.try_get(0)?,
                        workspace_id: row.try_get::<_, Uuid>(1)?.into(),
                        topic: row.try_get(2)?,
                        kind: row.try_get(3)?,
                        payload: row.try_get(4)?,
                        correlation_id: row.try_get::<_, Uuid>(5)?.into(),
                        created_at: row.try_get(6)?,
                        attempts: row.try_get(7)?,
                    })
                });
                let mut events = events.collect::<Result<Vec<_>, Failure>>()?;
                events.sort_by_key(|event| event.id);
                Ok(events)
            })
            .await
    }

    /// Strikes delivered events off.
    ///
    /// # Errors
    /// When the database does not answer; they are then handed over again.
    pub async fn done(&self, ids: &[i64], deadline: Deadline) -> Result<(), DbError> {
        let ids = ids.to_vec();
        let ids = &ids;
        self.0
            .run(deadline, |conn| async move {
                conn.execute(DONE, &[ids]).await.map(drop)
            })
            .await
    }

    /// Hands every event to `publish` and strikes it off when that returns
    /// true. Runs until the database is closed; the caller spawns it, one per
    /// server. Events of one change after another arrive in order unless a
    /// server dies in between.
    pub async fn run<F, Fut>(&self, publish: F)
    where
        F: Fn(OutboxEvent) -> Fut,
        Fut: Future<Output = bool>,
    {
        loop {
            let deadline = || Deadline::after(&*self.0.clock, LIMIT);
            let events = match self.claim(BATCH, deadline()).await {
                Ok(events) => events,
                Err(error) => {
                    tracing::debug!(name: "outbox.unavailable", %error, "the outbox cannot be read");
                    Vec::new()
                }
            };
            let full = events.len() == BATCH as usize;
            let mut delivered = Vec::with_capacity(events.len());
            for event in events {
                let id = event.id;
                if publish(event).await {
                    delivered.push(id);
                }
            }
            if !delivered.is_empty()
                && let Err(error) = self.done(&delivered, deadline()).await
            {
                tracing::warn!(name: "outbox.not_struck_off", %error, "delivered events will be delivered again");
            }
            if self.0.is_closed() {
                return;
            }
            if !full {
                // A commit of this server rings; others' events wait for the look.
                let _ = tokio::time::timeout(POLL, self.0.outbox_bell.notified()).await;
            }
        }
    }
}
