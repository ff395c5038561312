//! Rotation of the key-encryption key, while everything runs.

use super::{Shared, signing_keys};
use crate::{
    database::{Conn, Isolation},
    error::{DbError, Failure},
};
use mainstay_encryption::{KeyOwner, Keyring, WrappedKey};
use mainstay_resilience::Deadline;
use uuid::Uuid;

/// Rotation of the key-encryption key.
#[derive(Clone)]
pub struct KeyRotation(pub(crate) Shared);

// Several servers may rotate together: each takes keys that no other holds.
pub(crate) const TAKE: &str = "
SELECT workspace_id, subject_id, wrapped_by, wrapped FROM data_keys
WHERE wrapped_by < $1 ORDER BY wrapped_by LIMIT $2 FOR UPDATE SKIP LOCKED";

const PUT: &str = "
UPDATE data_keys k SET wrapped_by = $1, wrapped = n.wrapped
FROM unnest($2::uuid[], $3::uuid[], $4::bytea[]) AS n (workspace_id, subject_id, wrapped)
WHERE k.workspace_id = n.workspace_id AND k.subject_id = n.subject_id";

const TAKE_SIGNING: &str = "
SELECT owner_id, wrapped_by, wrapped FROM signing_keys WHERE wrapped_by < $1 FOR UPDATE SKIP LOCKED LIMIT $2";

const PUT_SIGNING: &str =
    "UPDATE signing_keys SET wrapped_by = $1, wrapped = $3 WHERE owner_id = $2";

const REMAINING: &str = "
SELECT (SELECT count(*) FROM data_keys WHERE wrapped_by < $1) + (SELECT count(*) FROM signing_keys WHERE wrapped_by < $1)";

impl KeyRotation {
    /// Takes a keyring with a rotated key into use: new data keys are wrapped by
    /// its current key, and those of former keys still open.
    pub fn use_keyring(&self, keyring: Keyring) {
        self.0.keys.vault.replace_keyring(keyring);
    }

    /// Rewraps up to `batch` data keys that a former key wrapped. What they
    /// sealed is not touched. Returns how many there were; zero means that
    /// former keys may be retired.
    ///
    /// # Errors
    /// When the database does not answer; `Internal` when the keyring lacks a
    /// key that is still in use.
    pub async fn rewrap(&self, batch: u32, deadline: Deadline) -> Result<u64, DbError> {
        let limit = i64::from(batch.clamp(1, 1_000));
        let current = i32::try_from(self.0.keys.vault.current()).unwrap_or(i32::MAX);
        self.0
            .transaction(Isolation::ReadCommitted, deadline, |conn| async move {
                let people = self.rewrap_people(&conn, current, limit).await?;
                let signing = self.rewrap_signing(&conn, current, limit).await?;
                Ok(people + signing)
            })
            .await
    }

    /// How many data keys a former key still wraps.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remaining(&self, deadline: Deadline) -> Result<u64, DbError> {
        let current = i32::try_from(self.0.keys.vault.current()).unwrap_or(i32::MAX);
        self.0
            .run(deadline, |conn| async move {
                let row = conn.query_one(REMAINING, &[&current]).await?;
                Ok(super::count(row.try_get(0)?))
            })
            .await
    }

    async fn rewrap_people(&self, conn: &Conn, current: i32, limit: i64) -> Result<u64, Failure> {
        let rows = conn.query(TAKE, &[&current, &limit]).await?;
        let (mut workspaces, mut subjects, mut wrapped) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let owner = KeyOwner {
                workspace: row.try_get(0)?,
                subject: row.try_get(1)?,
            };
            let old = WrappedKey {
                wrapped_by: u32::try_from(row.try_get::<_, i32>(2)?).unwrap_or(0),
                bytes: row.try_get(3)?,
            };
            if let Some(new) = self.0.keys.vault.rewrap(owner, &old)? {
                workspaces.push(owner.workspace);
                subjects.push(owner.subject);
                wrapped.push(new.bytes);
            }
        }
        conn.execute(PUT, &[&current, &workspaces, &subjects, &wrapped])
            .await?;
        Ok(rows.len() as u64)
    }

    async fn rewrap_signing(&self, conn: &Conn, current: i32, limit: i64) -> Result<u64, Failure> {
        let rows = conn.query(TAKE_SIGNING, &[&current, &limit]).await?;
        for row in &rows {
            let id: Uuid = row.try_get(0)?;
            let old = WrappedKey {
                wrapped_by: u32::try_from(row.try_get::<_, i32>(1)?).unwrap_or(0),
                bytes: row.try_get(2)?,
            };
            let owner = signing_keys::owner(id);
            if let Some(new) = self.0.keys.vault.rewrap(owner, &old)? {
                conn.execute(PUT_SIGNING, &[&current, &id, &new.bytes])
                    .await?;
            }
        }
        Ok(rows.len() as u64)
    }
}
