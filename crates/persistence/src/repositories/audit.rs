//! The audit log, for reading. Rows are written only by the changes that they
//! tell of, in the same transaction.

use super::Shared;
use crate::{
    call::Call,
    error::{DbError, Failure},
    page::{Page, PageRequest},
};
use jiff::Timestamp;
use mainstay_domain::{AuditId, CorrelationId, UserId};
use serde_json::Value;
use uuid::Uuid;

/// The audit log, for reading.
#[derive(Clone)]
pub struct Audit(pub(crate) Shared);

/// Which rows are wanted; `None` is all.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// An action such as `persona.changed`.
    pub action: Option<String>,
    /// Who did it.
    pub actor_id: Option<UserId>,
    /// To what.
    pub target_id: Option<Uuid>,
    /// In which request.
    pub correlation_id: Option<CorrelationId>,
    /// From when on.
    pub from: Option<Timestamp>,
    /// Until before when.
    pub to: Option<Timestamp>,
}

/// A row of the audit log. It holds ids and facts, no personal data.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// Its id.
    pub id: AuditId,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it; `None` for the system.
    pub actor_id: Option<UserId>,
    /// What was done.
    pub action: String,
    /// To what kind of thing.
    pub target_type: String,
    /// To which one.
    pub target_id: Option<Uuid>,
    /// In which request.
    pub correlation_id: CorrelationId,
    /// The facts.
    pub details: Value,
}

macro_rules! list {
    ($target:literal) => {
        concat!(
            "SELECT id, at, actor_id, action, target_type, target_id, correlation_id, details FROM audit
             WHERE workspace_id = $1 AND id < $2
               AND ($3::text IS NULL OR action = $3) AND ($4::uuid IS NULL OR actor_id = $4)
               AND ", $target, " AND ($6::uuid IS NULL OR correlation_id = $6)
               AND ($7::timestamptz IS NULL OR at >= $7) AND ($8::timestamptz IS NULL OR at < $8)
             ORDER BY id DESC LIMIT $9"
        )
    };
}

pub(crate) const LIST: &str = list!("$5::uuid IS NULL");
/// A statement of its own, so that the index on the target is used.
pub(crate) const LIST_BY_TARGET: &str = list!("target_id = $5");

impl Audit {
    /// The audit rows of the caller's workspace, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(
        &self,
        call: &Call,
        page: PageRequest,
        filter: &AuditFilter,
    ) -> Result<Page<AuditRecord>, DbError> {
        let list = match filter.target_id {
            Some(_) => LIST_BY_TARGET,
            None => LIST,
        };
        let records = self
            .0
            .run(call, |conn| async move {
                let rows = conn
                    .query(
                        list,
                        &[
                            &call.workspace(),
                            &page.ceiling(),
                            &filter.action,
                            &filter.actor_id.map(UserId::uuid),
                            &filter.target_id,
                            &filter.correlation_id.map(CorrelationId::uuid),
                            &filter.from,
                            &filter.to,
                            &page.rows(),
                        ],
                    )
                    .await?;
                rows.iter()
                    .map(|row| {
                        Ok(AuditRecord {
                            id: row.try_get::<_, Uuid>(0)?.into(),
                            at: row.try_get(1)?,
                            actor_id: row.try_get::<_, Option<Uuid>>(2)?.map(Into::into),
                            action: row.try_get(3)?,
                            target_type: row.try_get(4)?,
                            target_id: row.try_get(5)?,
                            correlation_id: row.try_get::<_, Uuid>(6)?.into(),
                            details: row.try_get(7)?,
                        })
                    })
                    .collect::<Result<Vec<_>, Failure>>()
            })
            .await?;
        Ok(Page::of(records, page, |record| record.id.uuid()))
    }
}
