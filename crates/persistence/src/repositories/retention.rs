//! Retention: what has been kept long enough goes, in batches.

use super::{Shared, count};
use crate::{
    error::{DbError, Failure},
    trail::{Actor, Entry},
};
use jiff::{SignedDuration, Timestamp};
use mainstay_resilience::Deadline;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// Retention.
#[derive(Clone)]
pub struct Retention(pub(crate) Shared);

/// How many days each kind of row is kept; 0 keeps it for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionPolicy {
    /// Conversations with their messages, after their last change. Default 0.
    pub conversation_days: u32,
    /// One-shot questions and answers, after they were asked. Default 90.
    pub execution_days: u32,
    /// What governance decided. Default 2555, seven years.
    pub decision_days: u32,
    /// What answers cost. Default 730.
    pub usage_days: u32,
    /// Ended logins and invitations, after their end. Default 30.
    pub session_days: u32,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            conversation_days: 0,
            execution_days: 90,
            decision_days: 2_555,
            usage_days: 730,
            session_days: 30,
        }
    }
}

/// What one kind of row came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionReport {
    /// The table.
    pub table: &'static str,
    /// Rows past their policy before this pass, up to the batch.
    pub due: u64,
    /// Rows deleted by this pass; zero in a dry run.
    pub deleted: u64,
    /// By how much the oldest row that may go is past its policy. It is zero
    /// when retention keeps up.
    pub oldest_past_policy: Duration,
}

/// A kind of row: the statement that finds what is due and the one that deletes it.
struct Kind {
    table: &'static str,
    days: fn(&RetentionPolicy) -> u32,
    due: &'static str,
    delete: &'static str,
}

// Ids are UUIDv7 and sort by creation, so that the primary key finds old rows
// without an index on a time. `$1` is the lowest id of the cutoff, `$2` the cutoff.
macro_rules! kind {
    ($table:literal, $who:literal, $since:literal, $extra:literal, $days:expr) => {
        Kind {
            table: $table,
            days: $days,
            due: concat!(
                "SELECT count(*), min(since) FROM (SELECT t.", $since, " AS since FROM ", $table, " t
                 WHERE t.id < $1 AND t.", $since, " < $2", $extra,
                " AND NOT EXISTS (SELECT FROM legal_holds h WHERE h.workspace_id = t.workspace_id AND h.subject_id = t.", $who, ")
                 ORDER BY t.id LIMIT $3) due"
            ),
            delete: concat!(
                "DELETE FROM ", $table, " WHERE id = ANY(ARRAY(SELECT t.id FROM ", $table, " t
                 WHERE t.id < $1 AND t.", $since, " < $2", $extra,
                " AND NOT EXISTS (SELECT FROM legal_holds h WHERE h.workspace_id = t.workspace_id AND h.subject_id = t.", $who, ")
                 ORDER BY t.id LIMIT $3))"
            ),
        }
    };
}

const KINDS: &[Kind] = &[
    kind!(
        "conversations",
        "owner_id",
        "updated_at",
        // An agent's conversation goes with its agent.
        " AND t.agent_id IS NULL",
        |p| p.conversation_days
    ),
    kind!(
        "executions",
        "user_id",
        "created_at",
        " AND t.status <> 'running'",
        |p| p.execution_days
    ),
    kind!("decisions", "user_id", "created_at", "", |p| p
        .decision_days),
    kind!(
        "usage",
        "user_id",
        "created_at",
        " AND t.status <> 'reserved'",
        |p| p.usage_days
    ),
    kind!("sessions", "user_id", "expires_at", "", |p| p.session_days),
    kind!("invitations", "invited_by", "expires_at", "", |p| p
        .session_days),
];

impl Retention {
    /// Deletes up to `batch` rows of each kind that are past their policy and
    /// under no legal hold; with `dry_run` it only counts them. An audit row
    /// tells what was deleted. To be repeated while anything was deleted.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sweep(
        &self,
        policy: &RetentionPolicy,
        batch: u32,
        dry_run: bool,
        deadline: Deadline,
    ) -> Result<Vec<RetentionReport>, DbError> {
        let mut reports = Vec::with_capacity(KINDS.len());
        for kind in KINDS {
            let days = (kind.days)(policy);
            if days > 0 {
                let batch = i64::from(batch.clamp(1, 10_000));
                reports.push(self.pass(kind, days, batch, dry_run, deadline).await?);
            }
        }
        Ok(reports)
    }

    async fn pass(
        &self,
        kind: &'static Kind,
        days: u32,
        batch: i64,
        dry_run: bool,
        deadline: Deadline,
    ) -> Result<RetentionReport, DbError> {
        let now = self.0.now();
        let age = SignedDuration::from_hours(24 * i64::from(days));
        let cutoff = now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let first = lowest_id(cutoff);
        self.0
            .transaction(
                crate::database::Isolation::ReadCommitted,
                deadline,
                |conn| async move {
                    let row = conn.query_one(kind.due, &[&first, &cutoff, &batch]).await?;
                    let due = count(row.try_get(0)?);
                    let oldest: Option<Timestamp> = row.try_get(1)?;
                    let mut report = RetentionReport {
                        table: kind.table,
                        due,
                        deleted: 0,
                        oldest_past_policy: oldest
                            .and_then(|oldest| {
                                Duration::try_from(cutoff.duration_since(oldest)).ok()
                            })
                            .unwrap_or_default(),
                    };
                    if due > 0 && !dry_run {
                        report.deleted = conn
                            .execute(kind.delete, &[&first, &cutoff, &batch])
                            .await?;
                        record(&conn, now, &report).await?;
                    }
                    Ok(report)
                },
            )
            .await
    }
}

async fn record(
    conn: &crate::database::Conn,
    now: Timestamp,
    report: &RetentionReport,
) -> Result<(), Failure> {
    let actor = Actor {
        workspace: Uuid::nil(),
        user: None,
        correlation: crate::fresh::id(now),
        at: now,
    };
    let entry = Entry {
        action: "retention.deleted",
        target_type: "table",
        target: None,
        details: json!({"table": report.table, "rows": report.deleted}),
        event: None,
    };
    conn.record(actor, entry).await
}

/// The lowest UUIDv7 of a time: ids that were made earlier are smaller.
fn lowest_id(time: Timestamp) -> Uuid {
    let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(u128::from(millis) << 80)
}
