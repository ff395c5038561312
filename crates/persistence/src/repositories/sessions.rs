//! Logins and their refresh tokens.

use super::{Shared, accounts::user};
use crate::{
    call::{Call, OpenCall},
    database::{Conn, Isolation},
    error::{DbError, Failure},
    trail::{Actor, Entry, Event},
};
use jiff::Timestamp;
use mainstay_domain::{AuditId, SessionId, User, UserId, WorkspaceId};
use mainstay_resilience::Deadline;
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

/// Logins and their refresh tokens.
#[derive(Clone)]
pub struct Sessions(pub(crate) Shared);

/// A login.
#[derive(Debug, Clone, Copy)]
pub struct NewSession {
    /// Who logged in.
    pub user_id: UserId,
    /// Their workspace.
    pub workspace_id: WorkspaceId,
    /// The SHA-256 of the first refresh token.
    pub refresh_hash: [u8; 32],
    /// When the session ends unless it is refreshed.
    pub expires_at: Timestamp,
}

/// What came of a refresh.
#[derive(Debug, Clone, PartialEq)]
pub enum Rotation {
    /// The new token is in force and the old one is used up.
    Rotated {
        /// Who they are now: role and status may have changed since the login.
        user: Box<User>,
        /// The session.
        session_id: SessionId,
    },
    /// The token had been used before: it was stolen, or its holder was. The
    /// whole session is revoked.
    Reused,
    /// There is no such token.
    Unknown,
    /// The session has ended, was revoked, or its account is locked.
    Ended,
}

/// A login as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub id: SessionId,
    /// When the login was.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub last_used_at: Timestamp,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
}

/// A session that access tokens of must no longer be taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedSession {
    /// The session.
    pub session_id: SessionId,
    /// Whose it was.
    pub user_id: UserId,
    /// When it was revoked.
    pub revoked_at: Timestamp,
}

const OPEN: &str = "
WITH opened AS (
    INSERT INTO sessions (id, workspace_id, user_id, created_at, last_used_at, expires_at)
    VALUES ($1, $2, $3, $4, $4, $5)
), token AS (
    INSERT INTO refresh_tokens (token_hash, workspace_id, session_id, issued_at) VALUES ($6, $2, $1, $4)
)
INSERT INTO audit (id, workspace_id, at, actor_id, action, target_type, target_id, correlation_id, details)
VALUES ($7, $2, $4, $3, 'session.opened', 'session', $1, $8, '{}')";

// The session is locked, so that of two simultaneous uses of one token the
// second sees the first.
pub(crate) const LOOK_UP: &str = "
SELECT u.id, u.workspace_id, u.email_sealed, u.full_name_sealed, u.role, u.status, u.created_at,
       s.id, s.expires_at, s.revoked_at
FROM refresh_tokens t
JOIN sessions s ON s.workspace_id = t.workspace_id AND s.id = t.session_id
JOIN users u ON u.workspace_id = s.workspace_id AND u.id = s.user_id
WHERE t.token_hash = $1 FOR UPDATE OF s";

const IS_REPLACED: &str =
    "SELECT replaced_at IS NOT NULL FROM refresh_tokens WHERE token_hash = $1";

const REPLACE: &str = "UPDATE refresh_tokens SET replaced_at = $2 WHERE token_hash = $1";

const REFRESH: &str = "
WITH used AS (
    UPDATE sessions SET last_used_at = $4, expires_at = $5 WHERE workspace_id = $1 AND id = $2
)
INSERT INTO refresh_tokens (token_hash, workspace_id, session_id, issued_at) VALUES ($3, $1, $2, $4)";

const REVOKE: &str = "
UPDATE sessions SET revoked_at = $4, revoked_why = $5
WHERE workspace_id = $1 AND user_id = $2 AND id = $3 AND revoked_at IS NULL";

const REVOKE_ALL: &str = "
UPDATE sessions SET revoked_at = $4, revoked_why = $5
WHERE workspace_id = $1 AND user_id = $2 AND ($3::uuid IS NULL OR id <> $3) AND revoked_at IS NULL";

pub(crate) const LIST: &str = "
SELECT id, created_at, last_used_at, expires_at FROM sessions
WHERE workspace_id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3
ORDER BY id DESC LIMIT 100";

// Clocks of servers differ, so the poll looks back a minute further.
pub(crate) const REVOKED_SINCE: &str = "
SELECT id, user_id, revoked_at FROM sessions WHERE revoked_at >= $1::timestamptz - interval '1 minute'
UNION ALL
SELECT unnest(sessions), subject_id, erased_at FROM erasures WHERE erased_at >= $1::timestamptz - interval '1 minute'
ORDER BY 3 LIMIT 10000";

impl Sessions {
    /// Opens a session for somebody who has proved who they are.
    ///
    /// # Errors
    /// `NotFound` when the account is gone.
    pub async fn open(&self, call: &OpenCall, new: &NewSession) -> Result<SessionId, DbError> {
        let now = self.0.now();
        let id = SessionId::at(now);
        self.0
            .run(call, |conn| async move {
                conn.execute(
                    OPEN,
                    &[
                        &id.uuid(),
                        &new.workspace_id.uuid(),
                        &new.user_id.uuid(),
                        &now,
                        &new.expires_at,
                        &new.refresh_hash.as_slice(),
                        &AuditId::at(now).uuid(),
                        &call.correlation_id.uuid(),
                    ],
                )
                .await?;
                Ok(id)
            })
            .await
    }

    /// Exchanges a refresh token for a new one and moves the session's end to
    /// `expires_at`. A token that was used before revokes its session.
    ///
    /// # Errors
    /// When the database does not answer; the outcomes are in [`Rotation`].
    pub async fn rotate(
        &self,
        call: &OpenCall,
        old_hash: &[u8; 32],
        new_hash: &[u8; 32],
        expires_at: Timestamp,
    ) -> Result<Rotation, DbError> {
        let now = self.0.now();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let old: &[u8] = old_hash;
                let Some(row) = conn.query_opt(LOOK_UP, &[&old]).await? else {
                    return Ok(Rotation::Unknown);
                };
                let found = Found::read(&row)?;
                let actor = Actor::open(call, found.workspace, found.user, now);
                if found.revoked || found.expires_at <= now || !found.active {
                    return Ok(Rotation::Ended);
                }
                // Read after the lock: a simultaneous use may have committed meanwhile.
                let replaced = conn.query_one(IS_REPLACED, &[&old]).await?;
                if replaced.try_get(0)? {
                    revoke_in(&conn, actor, found.user, found.session, "reuse").await?;
                    return Ok(Rotation::Reused);
                }
                conn.execute(REPLACE, &[&old, &now]).await?;
                let new: &[u8] = new_hash;
                conn.execute(
                    REFRESH,
                    &[&found.workspace, &found.session, &new, &now, &expires_at],
                )
                .await?;
                conn.record(
                    actor,
                    Entry {
                        action: "session.refreshed",
                        target_type: "session",
                        target: Some(found.session),
                        details: json!({}),
                        event: None,
                    },
                )
                .await?;
                let sealer = self.0.sealer(&conn, found.workspace, found.user).await?;
                Ok(Rotation::Rotated {
                    user: Box::new(user(&row, &sealer)?),
                    session_id: found.session.into(),
                })
            })
            .await
    }

    /// Ends one of the caller's sessions.
    ///
    /// # Errors
    /// `NotFound` when it is not theirs or has ended.
    pub async fn revoke(&self, call: &Call, id: SessionId) -> Result<(), DbError> {
        let now = self.0.now();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let actor = Actor::of(call, now);
                revoke_in(&conn, actor, call.user(), id.uuid(), "logout").await
            })
            .await
    }

    /// Ends every session of the caller. Returns how many.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_all(&self, call: &Call) -> Result<u64, DbError> {
        let now = self.0.now();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let (workspace, user) = (call.workspace(), call.user());
                let ended = revoke_all_in(&conn, workspace, user, None, "logout_all", now).await?;
                let entry = Entry {
                    action: "session.all_revoked",
                    target_type: "user",
                    target: Some(user),
                    details: json!({"sessions": ended}),
                    event: Some(revoked_event(user)),
                };
                conn.record(Actor::of(call, now), entry).await?;
                Ok(ended)
            })
            .await
    }

    /// The caller's living sessions, newest first, at most 100.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(&self, call: &Call) -> Result<Vec<SessionInfo>, DbError> {
        let now = self.0.now();
        self.0
            .run(call, |conn| async move {
                let rows = conn
                    .query(LIST, &[&call.workspace(), &call.user(), &now])
                    .await?;
                rows.iter()
                    .map(|row| {
                        Ok(SessionInfo {
                            id: row.try_get::<_, Uuid>(0)?.into(),
                            created_at: row.try_get(1)?,
                            last_used_at: row.try_get(2)?,
                            expires_at: row.try_get(3)?,
                        })
                    })
                    .collect()
            })
            .await
    }

    /// Every session of the deployment that was revoked since `since`, and up
    /// to a minute before it, since clocks differ. For the poll by which every
    /// instance learns whose access tokens to refuse.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoked_since(
        &self,
        since: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<RevokedSession>, DbError> {
        self.0
            .run(deadline, |conn| async move {
                let rows = conn.query(REVOKED_SINCE, &[&since]).await?;
                rows.iter()
                    .map(|row| {
                        Ok(RevokedSession {
                            session_id: row.try_get::<_, Uuid>(0)?.into(),
                            user_id: row.try_get::<_, Uuid>(1)?.into(),
                            revoked_at: row.try_get(2)?,
                        })
                    })
                    .collect()
            })
            .await
    }
}

/// What a refresh token leads to.
struct Found {
    user: Uuid,
    workspace: Uuid,
    session: Uuid,
    active: bool,
    revoked: bool,
    expires_at: Timestamp,
}

impl Found {
    fn read(row: &Row) -> Result<Self, Failure> {
        Ok(Self {
            user: row.try_get(0)?,
            workspace: row.try_get(1)?,
            active: row.try_get::<_, &str>(5)? == "active",
            session: row.try_get(7)?,
            expires_at: row.try_get(8)?,
            revoked: row.try_get::<_, Option<Timestamp>>(9)?.is_some(),
        })
    }
}

fn revoked_event(user: Uuid) -> Event {
    Event {
        topic: "user_activity".to_owned(),
        kind: "session.revoked",
        payload: json!({"user_id": user}),
    }
}

async fn revoke_in(
    conn: &Conn,
    actor: Actor,
    user: Uuid,
    session: Uuid,
    why: &'static str,
) -> Result<(), Failure> {
    let ended = conn
        .execute(
            REVOKE,
            &[&actor.workspace, &user, &session, &actor.at, &why],
        )
        .await?;
    if ended == 0 {
        return Err(DbError::NotFound.into());
    }
    conn.record(
        actor,
        Entry {
            action: "session.revoked",
            target_type: "session",
            target: Some(session),
            details: json!({"why": why}),
            event: Some(revoked_event(user)),
        },
    )
    .await
}

/// Ends a person's sessions but one; the caller records it.
pub(super) async fn revoke_all_in(
    conn: &Conn,
    workspace: Uuid,
    user: Uuid,
    keep: Option<Uuid>,
    why: &'static str,
    now: Timestamp,
) -> Result<u64, Failure> {
    conn.execute(REVOKE_ALL, &[&workspace, &user, &keep, &now, &why])
        .await
}
