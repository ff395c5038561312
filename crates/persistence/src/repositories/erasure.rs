//! Erasure of a person: the key and the rows in one transaction, with a tombstone.

use super::{Shared, count};
use crate::{
    call::Call,
    database::{Conn, Isolation},
    error::{DbError, Failure},
    trail::{Actor, Entry, Event},
};
use jiff::Timestamp;
use mainstay_domain::{UserId, WorkspaceId};
use mainstay_encryption::KeyOwner;
use mainstay_resilience::Deadline;
use serde_json::json;
use uuid::Uuid;

/// Erasure of people.
#[derive(Clone)]
pub struct Erasure(pub(crate) Shared);

const HELD: &str = "SELECT FROM legal_holds WHERE workspace_id = $1 AND subject_id = $2";

const OTHERS: &str = "
SELECT count(*) FILTER (WHERE role = 'administrator' AND status = 'active'), count(*)
FROM users WHERE workspace_id = $1 AND id <> $2";

// Agents and conversations refer to each other; foreign keys are checked when
// the statement ends. Sessions, refresh tokens, idempotency keys and messages
// go with what they belong to.
const ERASE: &str = "
WITH ended AS (
    SELECT coalesce(array_agg(id), '{}') AS ids FROM sessions WHERE workspace_id = $1 AND user_id = $2
), tombstone AS (
    INSERT INTO erasures (workspace_id, subject_id, sessions, erased_at, correlation_id)
    SELECT $1, $2, ended.ids, $3, $4 FROM ended
    ON CONFLICT (workspace_id, subject_id) DO NOTHING
), key AS (
    DELETE FROM data_keys WHERE workspace_id = $1 AND subject_id = $2
), owned_agents AS (
    DELETE FROM agents WHERE workspace_id = $1 AND owner_id = $2
), owned_conversations AS (
    DELETE FROM conversations WHERE workspace_id = $1 AND owner_id = $2
), asked AS (
    DELETE FROM executions WHERE workspace_id = $1 AND user_id = $2
), person AS (
    DELETE FROM users WHERE workspace_id = $1 AND id = $2 RETURNING id
)
SELECT count(*) FROM person";

// A reservation of a run that is erased will never be settled.
const RELEASE: &str = "
UPDATE usage SET status = 'released', cost_nano = reserved_nano, succeeded = false, settled_at = $3
WHERE workspace_id = $1 AND user_id = $2 AND status = 'reserved'";

const RISEN: &str = "
SELECT e.workspace_id, e.subject_id FROM erasures e
WHERE EXISTS (SELECT FROM users u WHERE u.workspace_id = e.workspace_id AND u.id = e.subject_id)
   OR EXISTS (SELECT FROM data_keys k WHERE k.workspace_id = e.workspace_id AND k.subject_id = e.subject_id)
LIMIT 1000";

const PLACE_HOLD: &str = "
INSERT INTO legal_holds (workspace_id, subject_id, placed_by, placed_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING";

const LIFT_HOLD: &str = "DELETE FROM legal_holds WHERE workspace_id = $1 AND subject_id = $2";

impl Erasure {
    /// Erases a person of the caller's workspace: destroys their data key,
    /// deletes what is theirs, and leaves a tombstone, an audit row and an
    /// event. What remains (audit, usage, decisions) holds an id that leads
    /// nowhere any more.
    ///
    /// # Errors
    /// `NotFound`; `Conflict("legal_hold")`; `Conflict("last_administrator")`
    /// when others would be left without anybody to run the workspace.
    pub async fn erase(&self, call: &Call, user: UserId) -> Result<(), DbError> {
        let now = self.0.now();
        let (workspace, subject) = (call.workspace(), user.uuid());
        self.0
            .transaction(Isolation::Serializable, call, |conn| async move {
                if conn
                    .query_opt(HELD, &[&workspace, &subject])
                    .await?
                    .is_some()
                {
                    return Err(DbError::Conflict("legal_hold").into());
                }
                let others = conn.query_one(OTHERS, &[&workspace, &subject]).await?;
                let (administrators, people): (i64, i64) = (others.try_get(0)?, others.try_get(1)?);
                if people > 0 && administrators == 0 {
                    return Err(DbError::Conflict("last_administrator").into());
                }
                erase_in(&conn, Actor::of(call, now), subject).await
            })
            .await?;
        self.forget(call.principal().workspace_id, user);
        Ok(())
    }

    /// Erases again whom a restored backup brought back. To be run after every
    /// restore, once the tombstones are in place. Returns how many there were.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn replay(&self, deadline: Deadline) -> Result<u64, DbError> {
        let now = self.0.now();
        let risen = self
            .0
            .run(deadline, |conn| async move {
                let rows = conn.query(RISEN, &[]).await?;
                rows.iter()
                    .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                    .collect::<Result<Vec<(Uuid, Uuid)>, Failure>>()
            })
            .await?;
        for (workspace, subject) in &risen {
            let (workspace, subject) = (*workspace, *subject);
            let actor = Actor {
                workspace,
                user: None,
                correlation: crate::fresh::id(now),
                at: now,
            };
            self.0
                .transaction(Isolation::ReadCommitted, deadline, |conn| async move {
                    match erase_in(&conn, actor, subject).await {
                        // Only the key had come back.
                        Err(Failure::Db(DbError::NotFound)) => Ok(()),
                        other => other,
                    }
                })
                .await?;
            self.forget(workspace.into(), subject.into());
        }
        Ok(risen.len() as u64)
    }

    /// Forgets a person's unwrapped key in this process. Every server does so
    /// when it hears of the erasure; one that does not hear of it forgets within
    /// a minute by itself.
    pub fn forget(&self, workspace: WorkspaceId, user: UserId) {
        self.0.keys.forget(KeyOwner {
            workspace: workspace.uuid(),
            subject: user.uuid(),
        });
    }

    /// Places a legal hold: until it is lifted, nothing of the person is erased
    /// or lapses.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn place_hold(&self, call: &Call, user: UserId) -> Result<(), DbError> {
        let now = self.0.now();
        let (workspace, by, subject) = (call.workspace(), call.user(), user.uuid());
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                conn.execute(PLACE_HOLD, &[&workspace, &subject, &by, &now])
                    .await?;
                hold_entry(&conn, call, now, subject, "legal_hold.placed").await
            })
            .await
    }

    /// Lifts a legal hold.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn lift_hold(&self, call: &Call, user: UserId) -> Result<(), DbError> {
        let now = self.0.now();
        let (workspace, subject) = (call.workspace(), user.uuid());
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                if conn.execute(LIFT_HOLD, &[&workspace, &subject]).await? == 0 {
                    return Err(DbError::NotFound.into());
                }
                hold_entry(&conn, call, now, subject, "legal_hold.lifted").await
            })
            .await
    }
}

async fn erase_in(conn: &Conn, actor: Actor, subject: Uuid) -> Result<(), Failure> {
    let (workspace, at) = (actor.workspace, actor.at);
    conn.execute(RELEASE, &[&workspace, &subject, &at]).await?;
    let row = conn
        .query_one(ERASE, &[&workspace, &subject, &at, &actor.correlation])
        .await?;
    if count(row.try_get(0)?) == 0 {
        return Err(DbError::NotFound.into());
    }
    conn.record(
        actor,
        Entry {
            action: "user.erased",
            target_type: "user",
            target: Some(subject),
            details: json!({}),
            event: Some(Event {
                topic: "erasure".to_owned(),
                kind: "user.erased",
                payload: json!({"workspace_id": workspace, "user_id": subject}),
            }),
        },
    )
    .await
}

async fn hold_entry(
    conn: &Conn,
    call: &Call,
    now: Timestamp,
    subject: Uuid,
    action: &'static str,
) -> Result<(), Failure> {
    conn.record(
        Actor::of(call, now),
        Entry {
            action,
            target_type: "user",
            target: Some(subject),
            details: json!({}),
            event: None,
        },
    )
    .await
}
