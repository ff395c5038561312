//! The caller's workspace and its invitations.

use super::{Shared, parse, usd};
use crate::{
    call::Call,
    database::{Isolation, both},
    error::{DbError, Failure},
    trail::{Actor, Entry, Event},
};
use jiff::Timestamp;
use mainstay_domain::{GovernanceLevel, Invitation, InvitationId, Name, Role, Usd, Workspace};
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

/// The caller's workspace and its invitations.
#[derive(Clone)]
pub struct Workspaces(pub(crate) Shared);

/// What changes of a workspace; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct WorkspacePatch {
    /// Its name.
    pub name: Option<Name>,
    /// How strictly model calls are governed.
    pub governance_level: Option<GovernanceLevel>,
    /// The most that one request may cost.
    pub request_ceiling: Option<Usd>,
    /// Whether an answer given to one member may be served to another.
    pub share_answers: Option<bool>,
    /// Words that no question may contain; lower-cased here.
    pub blocked_terms: Option<Vec<String>>,
}

/// A new invitation.
#[derive(Debug, Clone, Copy)]
pub struct NewInvitation {
    /// The SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// The role that it grants.
    pub role: Role,
    /// When it lapses.
    pub expires_at: Timestamp,
}

const GET: &str = "
SELECT id, name, governance_level, request_ceiling_nano, share_answers, blocked_terms, version, created_at
FROM workspaces WHERE id = $1";

const UPDATE: &str = "
UPDATE workspaces SET
    name = coalesce($3, name),
    governance_level = coalesce($4, governance_level),
    request_ceiling_nano = coalesce($5, request_ceiling_nano),
    share_answers = coalesce($6, share_answers),
    blocked_terms = coalesce($7, blocked_terms),
    version = version + 1, updated_at = $8
WHERE id = $1 AND version = $2
RETURNING id, name, governance_level, request_ceiling_nano, share_answers, blocked_terms, version, created_at";

const INVITE: &str = "
INSERT INTO invitations (id, workspace_id, token_hash, role, invited_by, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)";

impl Workspaces {
    /// The caller's workspace.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub async fn get(&self, call: &Call) -> Result<Workspace, DbError> {
        self.0
            .run(call, |conn| async move {
                workspace(&conn.query_one(GET, &[&call.workspace()]).await?)
            })
            .await
    }

    /// Changes the caller's workspace when it still has `version`.
    ///
    /// # Errors
    /// `StaleVersion`; `NotFound`.
    pub async fn update(
        &self,
        call: &Call,
        version: i32,
        patch: &WorkspacePatch,
    ) -> Result<Workspace, DbError> {
        let now = self.0.now();
        let level = patch.governance_level.map(GovernanceLevel::as_str);
        let name = patch.name.as_ref().map(Name::as_str);
        let ceiling = patch.request_ceiling.map(Usd::nano);
        let terms: Option<Vec<String>> = patch
            .blocked_terms
            .as_ref()
            .map(|terms| terms.iter().map(|term| term.to_lowercase()).collect());
        let terms = terms.as_deref();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let id = call.workspace();
                let updated = conn
                    .query_opt(
                        UPDATE,
                        &[
                            &id,
                            &version,
                            &name,
                            &level,
                            &ceiling,
                            &patch.share_answers,
                            &terms,
                            &now,
                        ],
                    )
                    .await?;
                let Some(row) = updated else {
                    conn.query_one(GET, &[&id]).await?;
                    return Err(DbError::StaleVersion.into());
                };
                let entry = Entry {
                    action: "workspace.changed",
                    target_type: "workspace",
                    target: Some(id),
                    details: json!({
                        "version": version + 1,
                        "governance_level": level,
                        "request_ceiling_usd": patch.request_ceiling,
                        "share_answers": patch.share_answers,
                        "blocked_terms_changed": patch.blocked_terms.is_some(),
                    }),
                    event: Some(Event {
                        topic: "workspace".to_owned(),
                        kind: "workspace.changed",
                        payload: json!({"workspace_id": id, "version": version + 1}),
                    }),
                };
                conn.record(Actor::of(call, now), entry).await?;
                workspace(&row)
            })
            .await
    }

    /// Stores an invitation into the caller's workspace.
    ///
    /// # Errors
    /// `Conflict("id")` when the token was used before.
    pub async fn invite(&self, call: &Call, new: &NewInvitation) -> Result<Invitation, DbError> {
        let now = self.0.now();
        let id = InvitationId::at(now);
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let workspace = call.workspace();
                let entry = Entry {
                    action: "invitation.created",
                    target_type: "invitation",
                    target: Some(id.uuid()),
                    details: json!({"role": new.role, "expires_at": new.expires_at}),
                    event: None,
                };
                let (id_, by, hash, role) = (
                    id.uuid(),
                    call.user(),
                    new.token_hash.as_slice(),
                    new.role.as_str(),
                );
                let params: [&dyn crate::database::Param; 7] =
                    [&id_, &workspace, &hash, &role, &by, &now, &new.expires_at];
                both(
                    conn.execute(INVITE, &params),
                    conn.record(Actor::of(call, now), entry),
                )
                .await?;
                Ok(Invitation {
                    id,
                    workspace_id: workspace.into(),
                    role: new.role,
                    expires_at: new.expires_at,
                })
            })
            .await
    }
}

fn workspace(row: &Row) -> Result<Workspace, Failure> {
    Ok(Workspace {
        id: row.try_get::<_, Uuid>(0)?.into(),
        name: Name::parse(row.try_get(1)?).map_err(|_| DbError::Corrupt("workspaces"))?,
        governance_level: parse(row.try_get(2)?)?,
        request_ceiling: usd(row.try_get(3)?),
        share_answers: row.try_get(4)?,
        blocked_terms: row.try_get(5)?,
        version: row.try_get(6)?,
        created_at: row.try_get(7)?,
    })
}
