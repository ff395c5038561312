//! The deployment's token-signing keys.

use super::Shared;
use crate::{
    database::{Conn, Isolation},
    error::{DbError, Failure},
    fresh,
    keys::Field,
};
use jiff::Timestamp;
use mainstay_encryption::{Aad, KeyOwner, WrappedKey};
use mainstay_resilience::Deadline;
use std::fmt;
use tokio_postgres::Row;
use uuid::Uuid;
use zeroize::Zeroizing;

const PKCS8: Field = Field::of("signing_keys", "pkcs8");

/// The deployment's token-signing keys.
#[derive(Clone)]
pub struct SigningKeys(pub(crate) Shared);

/// A signing key. It signs until it retires and verifies until it expires.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// The key id that tokens name.
    pub kid: String,
    /// The private key as PKCS#8 DER; stored sealed by a data key of its own.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it signs no more.
    pub retires_at: Timestamp,
    /// When nothing that it signed is valid any more.
    pub expires_at: Timestamp,
}

impl fmt::Debug for SigningKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeyRecord")
            .field("kid", &self.kid)
            .field("retires_at", &self.retires_at)
            .finish_non_exhaustive()
    }
}

// All servers of a deployment take this lock before they look for a key.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7883955471226790499)";

const VALID: &str = "
SELECT kid, wrapped_by, wrapped, pkcs8_sealed, owner_id, created_at, retires_at, expires_at
FROM signing_keys WHERE expires_at > $1 ORDER BY created_at DESC, kid LIMIT 100";

const INSERT: &str = "
INSERT INTO signing_keys (kid, wrapped_by, wrapped, pkcs8_sealed, owner_id, created_at, retires_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

impl SigningKeys {
    /// Every key that still verifies, newest first. When none of them signs any
    /// more, one made by `make` is stored first; servers that start together
    /// agree on one.
    ///
    /// # Errors
    /// When the database does not answer or the stored keys do not open.
    pub async fn load_or_create(
        &self,
        make: impl Fn(Timestamp) -> SigningKeyRecord + Send + Sync,
        deadline: Deadline,
    ) -> Result<Vec<SigningKeyRecord>, DbError> {
        let now = self.0.now();
        let make = &make;
        self.0
            .transaction(Isolation::ReadCommitted, deadline, |conn| async move {
                conn.query(LOCK, &[]).await?;
                let mut keys = self.read(&conn, now).await?;
                if keys.iter().all(|key| key.retires_at <= now) {
                    let key = make(now);
                    self.insert(&conn, &key).await?;
                    keys.insert(0, key);
                }
                Ok(keys)
            })
            .await
    }

    /// Every key that verifies at `now`, newest first.
    ///
    /// # Errors
    /// As [`SigningKeys::load_or_create`].
    pub async fn all_valid(
        &self,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<SigningKeyRecord>, DbError> {
        self.0
            .run(deadline, |conn| async move { self.read(&conn, now).await })
            .await
    }

    async fn read(&self, conn: &Conn, now: Timestamp) -> Result<Vec<SigningKeyRecord>, Failure> {
        let rows = conn.query(VALID, &[&now]).await?;
        rows.iter().map(|row| self.open(row)).collect()
    }

    fn open(&self, row: &Row) -> Result<SigningKeyRecord, Failure> {
        let id: Uuid = row.try_get(4)?;
        let wrapped = WrappedKey {
            wrapped_by: u32::try_from(row.try_get::<_, i32>(1)?).unwrap_or(0),
            bytes: row.try_get(2)?,
        };
        let key = self.0.keys.vault.unwrap(owner(id), &wrapped)?;
        Ok(SigningKeyRecord {
            kid: row.try_get(0)?,
            pkcs8: key.open(&aad(id), row.try_get(3)?)?,
            created_at: row.try_get(5)?,
            retires_at: row.try_get(6)?,
            expires_at: row.try_get(7)?,
        })
    }

    async fn insert(&self, conn: &Conn, record: &SigningKeyRecord) -> Result<(), Failure> {
        let id = fresh::id(record.created_at);
        let (key, wrapped) = self.0.keys.vault.new_data_key(owner(id))?;
        conn.execute(
            INSERT,
            &[
                &record.kid,
                &i32::try_from(wrapped.wrapped_by).unwrap_or(i32::MAX),
                &wrapped.bytes,
                &key.seal(&aad(id), &record.pkcs8)?,
                &id,
                &record.created_at,
                &record.retires_at,
                &record.expires_at,
            ],
        )
        .await
        .map(drop)
    }
}

/// Signing keys belong to the deployment, so their workspace is nil.
pub(crate) fn owner(id: Uuid) -> KeyOwner {
    KeyOwner {
        workspace: Uuid::nil(),
        subject: id,
    }
}

fn aad(id: Uuid) -> Aad<'static> {
    Aad {
        workspace: Uuid::nil(),
        table: PKCS8.table,
        column: PKCS8.column,
        row: id,
        subject: id,
    }
}
