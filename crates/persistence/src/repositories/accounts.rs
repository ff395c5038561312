//! People: registration, credentials, roles.

use super::{Shared, parse};
use crate::{
    call::{Call, OpenCall},
    database::{Conn, Isolation, both},
    error::{DbError, Failure},
    keys::{Field, Sealer},
    page::{Page, PageRequest},
    trail::{Actor, Entry, Event},
};
use mainstay_domain::{
    Email, GovernanceLevel, Name, Role, SessionId, User, UserId, UserStatus, Workspace, WorkspaceId,
};
use mainstay_encryption::KeyOwner;
use mainstay_resilience::Deadline;
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

const EMAIL: Field = Field::of("users", "email");
const FULL_NAME: Field = Field::of("users", "full_name");

/// People: registration, credentials, roles.
#[derive(Clone)]
pub struct Accounts(pub(crate) Shared);

/// A person who registers.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Their address, unique in the deployment.
    pub email: Email,
    /// Their name, if they gave one.
    pub full_name: Option<Name>,
    /// The hash of their password, in PHC form.
    pub password_hash: String,
    /// Where they belong.
    pub joining: Joining,
}

/// Where a person who registers belongs.
#[derive(Debug, Clone)]
pub enum Joining {
    /// A new workspace of which they are the administrator.
    OwnWorkspace {
        /// The workspace's name.
        name: Name,
    },
    /// The workspace and the role of an invitation, which is thereby used up.
    Invitation {
        /// The SHA-256 of the invitation's token.
        token_hash: [u8; 32],
    },
}

/// A person and how they prove who they are.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The person.
    pub user: User,
    /// The hash of their password, in PHC form.
    pub password_hash: String,
}

const INSERT_WORKSPACE: &str = "
INSERT INTO workspaces (id, name, governance_level, request_ceiling_nano, share_answers, blocked_terms, version, created_at, updated_at)
VALUES ($1, $2, $3, $4, false, '{}', 1, $5, $5)";

const REDEEM: &str = "
UPDATE invitations SET redeemed_at = $3, redeemed_by = $2
WHERE token_hash = $1 AND redeemed_at IS NULL AND expires_at > $3
RETURNING workspace_id, role";

const INSERT_USER: &str = "
WITH keyed AS (
    INSERT INTO data_keys (workspace_id, subject_id, wrapped_by, wrapped, created_at)
    VALUES ($2, $1, $8, $9, $7)
)
INSERT INTO users (id, workspace_id, email_sealed, email_index, full_name_sealed, password_hash, role, status, version, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $10, 'active', 1, $7, $7)";

pub(crate) const FIND_BY_EMAIL: &str = "
SELECT id, workspace_id, email_sealed, full_name_sealed, role, status, created_at, password_hash
FROM users WHERE email_index = $1";

const FIND: &str = "
SELECT id, workspace_id, email_sealed, full_name_sealed, role, status, created_at, password_hash
FROM users WHERE workspace_id = $1 AND id = $2";

pub(crate) const LIST: &str = "
SELECT id, workspace_id, email_sealed, full_name_sealed, role, status, created_at
FROM users WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $3";

const OTHER_ADMINISTRATORS: &str = "
SELECT count(*) FROM users
WHERE workspace_id = $1 AND id <> $2 AND role = 'administrator' AND status = 'active'";

const SET_ROLE: &str = "
UPDATE users SET role = $3, version = version + 1, updated_at = $4 WHERE workspace_id = $1 AND id = $2";

const SET_STATUS: &str = "
UPDATE users SET status = $3, version = version + 1, updated_at = $4 WHERE workspace_id = $1 AND id = $2";

const SET_PASSWORD: &str = "
UPDATE users SET password_hash = $3, version = version + 1, updated_at = $4
WHERE workspace_id = $1 AND id = $2";

const SET_FULL_NAME: &str = "
UPDATE users SET full_name_sealed = $3, version = version + 1, updated_at = $4
WHERE workspace_id = $1 AND id = $2";

impl Accounts {
    /// Registers a person, with their data key, and either their own workspace
    /// or their place in the invitation's.
    ///
    /// # Errors
    /// `Conflict("email")` when the address has an account;
    /// `Conflict("invitation")` when the invitation is unknown, used or lapsed.
    pub async fn register(&self, call: &OpenCall, new: &Registration) -> Result<User, DbError> {
        let now = self.0.now();
        let id = UserId::at(now);
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let (workspace_id, role) = self.place(&conn, new, id).await?;
                let owner = KeyOwner {
                    workspace: workspace_id.uuid(),
                    subject: id.uuid(),
                };
                let (sealer, wrapped) = self.0.new_sealer(owner)?;
                let full_name = new.full_name.as_ref();
                let full_name_sealed = full_name
                    .map(|name| sealer.seal(FULL_NAME, id.uuid(), name.as_str().as_bytes()))
                    .transpose()?;
                let insert = conn.execute(
                    INSERT_USER,
                    &[
                        &id.uuid(),
                        &workspace_id.uuid(),
                        &sealer.seal(EMAIL, id.uuid(), new.email.as_str().as_bytes())?,
                        &self.0.email_index.index(new.email.as_str()).to_vec(),
                        &full_name_sealed,
                        &new.password_hash,
                        &now,
                        &i32::try_from(wrapped.wrapped_by).unwrap_or(i32::MAX),
                        &wrapped.bytes,
                        &role.as_str(),
                    ],
                ).await;
                insert?;
                conn.record(
                    Actor::open(call, workspace_id.uuid(), id.uuid(), now),
                    Entry {
                        action: "user.registered",
                        target_type: "user",
                        target: Some(id.uuid()),
                        details: json!({"role": role, "invited": matches!(new.joining, Joining::Invitation { .. })}),
                        event: Some(Event {
                            topic: "user_activity".to_owned(),
                            kind: "user.registered",
                            payload: json!({"user_id": id}),
                        }),
                    },
                )
                .await?;
                Ok(User {
                    id,
                    workspace_id,
                    email: new.email.clone(),
                    full_name: new.full_name.clone(),
                    role,
                    status: UserStatus::Active,
                    created_at: now,
                })
            })
            .await
    }

    /// The workspace and role of somebody who registers.
    async fn place(
        &self,
        conn: &Conn,
        new: &Registration,
        user: UserId,
    ) -> Result<(WorkspaceId, Role), Failure> {
        let now = self.0.now();
        match &new.joining {
            Joining::OwnWorkspace { name } => {
                let id = WorkspaceId::at(now);
                let ceiling = i64::try_from(Workspace::DEFAULT_CEILING_NANO).unwrap_or(i64::MAX);
                conn.execute(
                    INSERT_WORKSPACE,
                    &[
                        &id.uuid(),
                        &name.as_str(),
                        &GovernanceLevel::default().as_str(),
                        &ceiling,
                        &now,
                    ],
                )
                .await?;
                Ok((id, Role::Administrator))
            }
            Joining::Invitation { token_hash } => {
                let row = conn
                    .query_opt(REDEEM, &[&token_hash.as_slice(), &user.uuid(), &now])
                    .await?
                    .ok_or(DbError::Conflict("invitation"))?;
                let role = parse(row.try_get(1)?)?;
                Ok((WorkspaceId::from(row.try_get::<_, Uuid>(0)?), role))
            }
        }
    }

    /// The person of an address, with what they prove themselves by.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_by_email(
        &self,
        email: &Email,
        deadline: Deadline,
    ) -> Result<Option<Credentials>, DbError> {
        let index = self.0.email_index.index(email.as_str()).to_vec();
        let index = &index;
        self.0
            .run(deadline, |conn| async move {
                match conn.query_opt(FIND_BY_EMAIL, &[index]).await? {
                    Some(row) => self.credentials(&conn, &row).await.map(Some),
                    None => Ok(None),
                }
            })
            .await
    }

    /// A person of the caller's workspace.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn find(&self, call: &Call, id: UserId) -> Result<User, DbError> {
        Ok(self.find_credentials(call, id).await?.user)
    }

    /// A person of the caller's workspace with their password hash, such as for
    /// checking the present password before it is changed.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn find_credentials(&self, call: &Call, id: UserId) -> Result<Credentials, DbError> {
        self.0
            .run(call, |conn| async move {
                let row = conn
                    .query_one(FIND, &[&call.workspace(), &id.uuid()])
                    .await?;
                self.credentials(&conn, &row).await
            })
            .await
    }

    /// The people of the caller's workspace, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(&self, call: &Call, page: PageRequest) -> Result<Page<User>, DbError> {
        let users = self
            .0
            .run(call, |conn| async move {
                let rows = conn
                    .query(LIST, &[&call.workspace(), &page.floor(), &page.rows()])
                    .await?;
                let ids = rows
                    .iter()
                    .map(|row| row.try_get(0))
                    .collect::<Result<Vec<Uuid>, _>>()?;
                let sealers = self.0.sealers(&conn, call.workspace(), &ids).await?;
                rows.iter()
                    .zip(&ids)
                    .map(|(row, id)| user(row, sealers.of(*id)?))
                    .collect::<Result<Vec<_>, Failure>>()
            })
            .await?;
        Ok(Page::of(users, page, |user| user.id.uuid()))
    }

    /// Gives a person another role and ends their sessions, since their tokens
    /// still carry the former one.
    ///
    /// # Errors
    /// `NotFound`; `Conflict("last_administrator")` when nobody would be left to
    /// run the workspace.
    pub async fn set_role(&self, call: &Call, id: UserId, role: Role) -> Result<User, DbError> {
        self.administer(
            call,
            id,
            SET_ROLE,
            role.as_str(),
            "user.role_changed",
            role != Role::Administrator,
        )
        .await
    }

    /// Locks an account, ending its sessions, or unlocks it.
    ///
    /// # Errors
    /// As [`Accounts::set_role`].
    pub async fn set_status(
        &self,
        call: &Call,
        id: UserId,
        status: UserStatus,
    ) -> Result<User, DbError> {
        let (stored, action, demotes) = match status {
            UserStatus::Active => ("active", "user.enabled", false),
            UserStatus::Disabled => ("disabled", "user.disabled", true),
        };
        self.administer(call, id, SET_STATUS, stored, action, demotes)
            .await
    }

    async fn administer(
        &self,
        call: &Call,
        id: UserId,
        update: &'static str,
        value: &'static str,
        action: &'static str,
        demotes: bool,
    ) -> Result<User, DbError> {
        let now = self.0.now();
        let workspace = call.workspace();
        // Two administrators who demote each other must not both succeed.
        self.0
            .transaction(Isolation::Serializable, call, |conn| async move {
                if demotes {
                    let others = conn
                        .query_one(OTHER_ADMINISTRATORS, &[&workspace, &id.uuid()])
                        .await?;
                    if others.try_get::<_, i64>(0)? == 0 {
                        return Err(DbError::Conflict("last_administrator").into());
                    }
                }
                let changed = conn
                    .execute(update, &[&workspace, &id.uuid(), &value, &now])
                    .await?;
                if changed == 0 {
                    return Err(DbError::NotFound.into());
                }
                super::sessions::revoke_all_in(
                    &conn,
                    workspace,
                    id.uuid(),
                    None,
                    "administrator",
                    now,
                )
                .await?;
                let entry = Entry {
                    action,
                    target_type: "user",
                    target: Some(id.uuid()),
                    details: json!({"value": value}),
                    event: Some(Event {
                        topic: "user_activity".to_owned(),
                        kind: action,
                        payload: json!({"user_id": id}),
                    }),
                };
                let params: [&dyn crate::database::Param; 2] = [&workspace, &id.uuid()];
                let (row, ()) = both(
                    conn.query_one(FIND, &params),
                    conn.record(Actor::of(call, now), entry),
                )
                .await?;
                Ok(self.credentials(&conn, &row).await?.user)
            })
            .await
    }

    /// Changes the caller's password and ends their other sessions.
    ///
    /// # Errors
    /// `NotFound` when the account is gone.
    pub async fn set_password(
        &self,
        call: &Call,
        password_hash: &str,
        keep: Option<SessionId>,
    ) -> Result<(), DbError> {
        let now = self.0.now();
        let (workspace, user) = (call.workspace(), call.user());
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let changed = conn
                    .execute(SET_PASSWORD, &[&workspace, &user, &password_hash, &now])
                    .await?;
                if changed == 0 {
                    return Err(DbError::NotFound.into());
                }
                let keep = keep.map(SessionId::uuid);
                super::sessions::revoke_all_in(&conn, workspace, user, keep, "password", now)
                    .await?;
                conn.record(
                    Actor::of(call, now),
                    Entry {
                        action: "user.password_changed",
                        target_type: "user",
                        target: Some(user),
                        details: json!({}),
                        event: None,
                    },
                )
                .await
            })
            .await
    }

    /// Changes the caller's own profile.
    ///
    /// # Errors
    /// `NotFound` when the account is gone.
    pub async fn update_profile(
        &self,
        call: &Call,
        full_name: Option<&Name>,
    ) -> Result<User, DbError> {
        let now = self.0.now();
        let (workspace, id) = (call.workspace(), call.user());
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let sealer = self.0.sealer(&conn, workspace, id).await?;
                let sealed = full_name
                    .map(|name| sealer.seal(FULL_NAME, id, name.as_str().as_bytes()))
                    .transpose()?;
                conn.execute(SET_FULL_NAME, &[&workspace, &id, &sealed, &now])
                    .await?;
                let entry = Entry {
                    action: "user.profile_changed",
                    target_type: "user",
                    target: Some(id),
                    details: json!({}),
                    event: None,
                };
                conn.record(Actor::of(call, now), entry).await?;
                let row = conn.query_one(FIND, &[&workspace, &id]).await?;
                user(&row, &sealer)
            })
            .await
    }

    async fn credentials(&self, conn: &Conn, row: &Row) -> Result<Credentials, Failure> {
        let sealer = self
            .0
            .sealer(conn, row.try_get(1)?, row.try_get(0)?)
            .await?;
        Ok(Credentials {
            user: user(row, &sealer)?,
            password_hash: row.try_get(7)?,
        })
    }
}

/// A person from `id, workspace_id, email_sealed, full_name_sealed, role, status, created_at`.
pub(super) fn user(row: &Row, sealer: &Sealer) -> Result<User, Failure> {
    let id: Uuid = row.try_get(0)?;
    let corrupt = |_| DbError::Corrupt("users");
    let full_name: Option<&[u8]> = row.try_get(3)?;
    let full_name = full_name
        .map(|sealed| sealer.open(FULL_NAME, id, sealed))
        .transpose()?;
    Ok(User {
        id: id.into(),
        workspace_id: row.try_get::<_, Uuid>(1)?.into(),
        email: Email::parse(&sealer.open(EMAIL, id, row.try_get(2)?)?).map_err(corrupt)?,
        full_name: full_name
            .map(|name| Name::parse(&name))
            .transpose()
            .map_err(corrupt)?,
        role: parse(row.try_get(4)?)?,
        status: match row.try_get(5)? {
            "active" => UserStatus::Active,
            _ => UserStatus::Disabled,
        },
        created_at: row.try_get(6)?,
    })
}
