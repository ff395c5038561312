//! Drift: what should not be and yet is, found, counted, and repaired where a
//! repair is safe.

use super::{Shared, count};
use crate::{
    database::Isolation,
    error::{DbError, Failure},
};
use jiff::{SignedDuration, Timestamp};
use mainstay_resilience::Deadline;

/// Finds and repairs drift.
#[derive(Clone)]
pub struct Consistency(pub(crate) Shared);

/// What a check found of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drift {
    /// The kind, a stable name for a metric.
    pub kind: &'static str,
    /// How many there were.
    pub found: u64,
    /// How many were repaired; the rest is for a person.
    pub repaired: u64,
}

/// A kind of drift, by the statement that finds it and, where that is safe, the
/// one that repairs it. `$1` is now, `$2` an hour ago.
struct Kind {
    name: &'static str,
    find: &'static str,
    repair: Option<&'static str>,
}

const KINDS: &[Kind] = &[
    // Its call ended or is gone, so nobody will settle it. What may have been
    // spent is charged.
    Kind {
        name: "reservation_without_call",
        find: "SELECT count(*) FROM usage u WHERE u.status = 'reserved' AND u.created_at < $2 AND $1::timestamptz IS NOT NULL
               AND NOT EXISTS (SELECT FROM messages m WHERE m.id = u.source_id AND m.status = 'streaming')
               AND NOT EXISTS (SELECT FROM executions e WHERE e.id = u.source_id AND e.status = 'running')",
        repair: Some("UPDATE usage u SET status = 'released', cost_nano = reserved_nano, succeeded = false, settled_at = $1
               WHERE u.status = 'reserved' AND u.created_at < $2
               AND NOT EXISTS (SELECT FROM messages m WHERE m.id = u.source_id AND m.status = 'streaming')
               AND NOT EXISTS (SELECT FROM executions e WHERE e.id = u.source_id AND e.status = 'running')"),
    },
    Kind {
        name: "lapsed_idempotency_key",
        find: "SELECT count(*) FROM idempotency_keys WHERE expires_at <= $1 AND $2::timestamptz IS NOT NULL",
        repair: Some("DELETE FROM idempotency_keys WHERE expires_at <= $1 AND $2::timestamptz IS NOT NULL"),
    },
    Kind {
        name: "silent_instance",
        find: "SELECT count(*) FROM instances WHERE seen_at < $2 AND $1::timestamptz IS NOT NULL",
        repair: Some("DELETE FROM instances WHERE seen_at < $2 AND $1::timestamptz IS NOT NULL"),
    },
    // Why it cannot be delivered is for a person to find out.
    Kind {
        name: "undelivered_event",
        find: "SELECT count(*) FROM outbox WHERE created_at < $2 AND $1::timestamptz IS NOT NULL",
        repair: None,
    },
    // A busy agent whose conversation has no run that goes on.
    Kind {
        name: "busy_agent_without_run",
        find: "SELECT count(*) FROM agents a WHERE a.state = 'busy' AND a.updated_at < $2 AND $1::timestamptz IS NOT NULL
               AND NOT EXISTS (SELECT FROM messages m WHERE m.workspace_id = a.workspace_id
                               AND m.conversation_id = a.conversation_id AND m.status = 'streaming')",
        repair: Some("UPDATE agents a SET state = 'error', version = version + 1, updated_at = $1
               WHERE a.state = 'busy' AND a.updated_at < $2
               AND NOT EXISTS (SELECT FROM messages m WHERE m.workspace_id = a.workspace_id
                               AND m.conversation_id = a.conversation_id AND m.status = 'streaming')"),
    },
    // A key without its person: an erasure that was interrupted outside of us.
    Kind {
        name: "key_without_person",
        find: "SELECT count(*) FROM data_keys k WHERE k.created_at < $2 AND $1::timestamptz IS NOT NULL
               AND NOT EXISTS (SELECT FROM users u WHERE u.workspace_id = k.workspace_id AND u.id = k.subject_id)",
        repair: None,
    },
];

impl Consistency {
    /// Looks for every kind of drift and, with `repair`, repairs what is safe to.
    /// A repair that fails leaves the others standing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn check(&self, repair: bool, deadline: Deadline) -> Result<Vec<Drift>, DbError> {
        let now = self.0.now();
        let hour = SignedDuration::from_hours(1);
        let since = now.checked_sub(hour).unwrap_or(Timestamp::MIN);
        self.0
            .transaction(Isolation::ReadCommitted, deadline, |conn| async move {
                let mut drifts = Vec::with_capacity(KINDS.len());
                for kind in KINDS {
                    let row = conn.query_one(kind.find, &[&now, &since]).await?;
                    let found = count(row.try_get(0)?);
                    let mut repaired = 0;
                    if let Some(sql) = kind.repair.filter(|_| repair && found > 0) {
                        let step = conn.savepoint(conn.execute(sql, &[&now, &since])).await;
                        repaired = match step {
                            Ok(rows) => rows,
                            Err(Failure::Contended) => return Err(Failure::Contended),
                            Err(Failure::Db(error)) if error.is_unavailable() => {
                                return Err(error.into());
                            }
                            Err(Failure::Db(error)) => {
                                tracing::error!(name: "consistency.repair_failed", kind = kind.name, %error, "a repair failed");
                                0
                            }
                        };
                    }
                    drifts.push(Drift {
                        kind: kind.name,
                        found,
                        repaired,
                    });
                }
                Ok(drifts)
            })
            .await
    }
}
