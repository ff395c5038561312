//! The trail of a change: its audit row and its event.

use crate::{
    call::{Call, OpenCall},
    database::Conn,
    error::Failure,
};
use jiff::Timestamp;
use mainstay_domain::AuditId;
use serde_json::Value;
use uuid::Uuid;

/// Who did something, when, and in which request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actor {
    pub(crate) workspace: Uuid,
    pub(crate) user: Option<Uuid>,
    pub(crate) correlation: Uuid,
    pub(crate) at: Timestamp,
}

impl Actor {
    pub(crate) fn of(call: &Call, at: Timestamp) -> Self {
        Self {
            workspace: call.workspace(),
            user: Some(call.user()),
            correlation: call.correlation(),
            at,
        }
    }

    pub(crate) fn open(call: &OpenCall, workspace: Uuid, user: Uuid, at: Timestamp) -> Self {
        Self {
            workspace,
            user: Some(user),
            correlation: call.correlation_id.uuid(),
            at,
        }
    }
}

/// What happened. `details` holds ids and facts, never personal data.
pub(crate) struct Entry {
    pub(crate) action: &'static str,
    pub(crate) target_type: &'static str,
    pub(crate) target: Option<Uuid>,
    pub(crate) details: Value,
    pub(crate) event: Option<Event>,
}

/// What others hear of it: where, what, and ids to look it up by.
pub(crate) struct Event {
    pub(crate) topic: String,
    pub(crate) kind: &'static str,
    pub(crate) payload: Value,
}

const RECORD: &str = "
WITH audited AS (
    INSERT INTO audit (id, workspace_id, at, actor_id, action, target_type, target_id, correlation_id, details)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
)
INSERT INTO outbox (workspace_id, topic, kind, payload, correlation_id, created_at)
SELECT $2, $10, $11, $12, $8, $3 WHERE $10::text IS NOT NULL";

impl Conn {
    /// Writes the audit row and the event of a change, in the change's transaction.
    pub(crate) async fn record(&self, actor: Actor, entry: Entry) -> Result<(), Failure> {
        let (topic, kind, payload) = match entry.event {
            Some(event) => {
                self.leaves_an_event();
                (Some(event.topic), Some(event.kind), Some(event.payload))
            }
            None => (None, None, None),
        };
        self.execute(
            RECORD,
            &[
                &AuditId::at(actor.at).uuid(),
                &actor.workspace,
                &actor.at,
                &actor.user,
                &entry.action,
                &entry.target_type,
                &entry.target,
                &actor.correlation,
                &entry.details,
                &topic,
                &kind,
                &payload,
            ],
        )
        .await
        .map(drop)
    }
}
