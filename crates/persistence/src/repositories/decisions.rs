//! Governance's decision log.

use super::{DecisionColumns, Shared, parse};
use crate::{
    call::Call,
    error::{DbError, Failure},
    page::{Page, PageRequest},
};
use jiff::Timestamp;
use mainstay_domain::{AuditId, CorrelationId, Decision, UserId};
use uuid::Uuid;

/// Governance's decision log.
#[derive(Clone)]
pub struct Decisions(pub(crate) Shared);

/// A decision with its circumstances.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedDecision {
    /// The decision.
    pub decision: Decision,
    /// Who had asked.
    pub user_id: UserId,
    /// The execution or message that it was about.
    pub source_id: Uuid,
    /// The request.
    pub correlation_id: CorrelationId,
    /// When it was made.
    pub created_at: Timestamp,
}

const RECORD: &str = "
WITH decided AS (
    INSERT INTO decisions (id, workspace_id, user_id, source_id, hook, verdict, rule_id, reason, correlation_id, created_at)
    SELECT d.id, $1, $2, $3, d.hook, d.verdict, d.rule_id, d.reason, $4, $5
    FROM unnest($6::uuid[], $7::text[], $8::text[], $9::text[], $10::text[]) AS d (id, hook, verdict, rule_id, reason)
)
INSERT INTO audit (id, workspace_id, at, actor_id, action, target_type, target_id, correlation_id, details)
VALUES ($11, $1, $5, $2, 'question.denied', 'question', $3, $4, jsonb_build_object('rules', to_jsonb($9::text[])))";

macro_rules! list {
    ($source:literal) => {
        concat!(
            "SELECT id, hook, verdict, rule_id, reason, user_id, source_id, correlation_id, created_at
             FROM decisions WHERE workspace_id = $1 AND id < $2 AND ", $source, " ORDER BY id DESC LIMIT $4"
        )
    };
}

pub(crate) const LIST: &str = list!("$3::uuid IS NULL");
/// A statement of its own, so that the index on the source is used.
pub(crate) const LIST_BY_SOURCE: &str = list!("source_id = $3");

impl Decisions {
    /// Logs why a question was denied before anything was begun for it.
    /// Decisions about answered questions are logged with their answers.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn record_denied(
        &self,
        call: &Call,
        source_id: Uuid,
        decisions: &[Decision],
    ) -> Result<(), DbError> {
        let now = self.0.now();
        self.0
            .run(call, |conn| async move {
                let columns = DecisionColumns::of(decisions)?;
                conn.execute(
                    RECORD,
                    &[
                        &call.workspace(),
                        &call.user(),
                        &source_id,
                        &call.correlation(),
                        &now,
                        &columns.ids,
                        &columns.hooks,
                        &columns.verdicts,
                        &columns.rules,
                        &columns.reasons,
                        &AuditId::at(now).uuid(),
                    ],
                )
                .await
                .map(drop)
            })
            .await
    }

    /// The decisions of the caller's workspace, newest first, of one execution
    /// or message when `source` is given.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(
        &self,
        call: &Call,
        page: PageRequest,
        source: Option<Uuid>,
    ) -> Result<Page<LoggedDecision>, DbError> {
        let list = match source {
            Some(_) => LIST_BY_SOURCE,
            None => LIST,
        };
        let decisions = self
            .0
            .run(call, |conn| async move {
                let rows = conn
                    .query(
                        list,
                        &[&call.workspace(), &page.ceiling(), &source, &page.rows()],
                    )
                    .await?;
                rows.iter()
                    .map(|row| {
                        Ok(LoggedDecision {
                            decision: Decision {
                                id: row.try_get::<_, Uuid>(0)?.into(),
                                hook: parse(row.try_get(1)?)?,
                                verdict: parse(row.try_get(2)?)?,
                                rule_id: row.try_get(3)?,
                                reason: row.try_get(4)?,
                            },
                            user_id: row.try_get::<_, Uuid>(5)?.into(),
                            source_id: row.try_get(6)?,
                            correlation_id: row.try_get::<_, Uuid>(7)?.into(),
                            created_at: row.try_get(8)?,
                        })
                    })
                    .collect::<Result<Vec<_>, Failure>>()
            })
            .await?;
        Ok(Page::of(decisions, page, |it| it.decision.id.uuid()))
    }
}
