//! Answers kept for repeated requests.
//!
//! A key is claimed before the work and completed with the response. A claim
//! whose server died lapses, and the next request takes it over.

use super::Shared;
use crate::{call::Call, error::DbError, fresh, keys::Field};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

pub(super) const BODY: Field = Field::of("idempotency_keys", "body");

/// How long an unfinished claim holds: longer than any request may take.
const CLAIM_HOLDS: SignedDuration = SignedDuration::from_secs(120);

/// Answers kept for repeated requests.
#[derive(Clone)]
pub struct Idempotency(pub(crate) Shared);

/// A claim of this request, to be completed or released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimId(Uuid);

/// What came of claiming a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The work is this request's to do.
    Claimed(ClaimId),
    /// The same request is being worked on.
    InFlight,
    /// It was done before, with this response.
    Replay(StoredResponse),
    /// The key was used with another request.
    Mismatch,
}

/// A response that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

// A lapsed row is taken over in place. When another request inserts at the same
// moment, neither part returns a row: that request is in flight.
pub(crate) const CLAIM: &str = "
WITH claimed AS (
    INSERT INTO idempotency_keys (workspace_id, user_id, key_hash, request_hash, claim_id, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (workspace_id, user_id, key_hash) DO UPDATE
        SET request_hash = $4, claim_id = $5, status = NULL, content_type = NULL, body_sealed = NULL,
            created_at = $6, expires_at = $7
        WHERE idempotency_keys.expires_at <= $6
    RETURNING claim_id
)
SELECT true, claim_id, NULL::bytea, NULL::smallint, NULL::text, NULL::bytea FROM claimed
UNION ALL
SELECT false, claim_id, request_hash, status, content_type, body_sealed FROM idempotency_keys
WHERE workspace_id = $1 AND user_id = $2 AND key_hash = $3 AND NOT EXISTS (SELECT FROM claimed)";

const COMPLETE: &str = "
UPDATE idempotency_keys SET status = $4, content_type = $5, body_sealed = $6, expires_at = $7
WHERE workspace_id = $1 AND user_id = $2 AND claim_id = $3 AND status IS NULL";

const RELEASE: &str = "
DELETE FROM idempotency_keys
WHERE workspace_id = $1 AND user_id = $2 AND claim_id = $3 AND status IS NULL";

pub(crate) const SWEEP: &str = "
DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1000))";

impl Idempotency {
    /// Claims the caller's key for a request. `request_hash` is a SHA-256 over
    /// everything that makes two requests the same.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim(
        &self,
        call: &Call,
        key: &str,
        request_hash: &[u8; 32],
    ) -> Result<Claim, DbError> {
        let now = self.0.now();
        let until = now.checked_add(CLAIM_HOLDS).unwrap_or(Timestamp::MAX);
        let claim = fresh::id(now);
        let key_hash = self.0.email_index.index(&format!("idempotency:{key}"));
        let key_hash = key_hash.as_slice();
        let request: &[u8] = request_hash;
        self.0
            .run(call, |conn| async move {
                let (workspace, user) = (call.workspace(), call.user());
                let found = conn
                    .query_opt(
                        CLAIM,
                        &[&workspace, &user, &key_hash, &request, &claim, &now, &until],
                    )
                    .await?;
                let Some(row) = found else {
                    return Ok(Claim::InFlight);
                };
                if row.try_get(0)? {
                    return Ok(Claim::Claimed(ClaimId(claim)));
                }
                if row.try_get::<_, &[u8]>(2)? != request {
                    return Ok(Claim::Mismatch);
                }
                let Some(status) = row.try_get::<_, Option<i16>>(3)? else {
                    return Ok(Claim::InFlight);
                };
                let sealer = self.0.sealer(&conn, workspace, user).await?;
                let body = sealer.open_bytes(BODY, claim_of(&row)?, row.try_get(5)?)?;
                Ok(Claim::Replay(StoredResponse {
                    status: u16::try_from(status).unwrap_or(200),
                    content_type: row.try_get(4)?,
                    body,
                }))
            })
            .await
    }

    /// Stores the response of a claimed request for `ttl`.
    ///
    /// # Errors
    /// `Conflict("claim")` when the claim lapsed and somebody else took it over.
    pub async fn complete(
        &self,
        call: &Call,
        claim: ClaimId,
        response: &StoredResponse,
        ttl: Duration,
    ) -> Result<(), DbError> {
        let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
        let until = self.0.now().checked_add(ttl).unwrap_or(Timestamp::MAX);
        self.0
            .run(call, |conn| async move {
                let (workspace, user) = (call.workspace(), call.user());
                let sealer = self.0.sealer(&conn, workspace, user).await?;
                let completed = conn
                    .execute(
                        COMPLETE,
                        &[
                            &workspace,
                            &user,
                            &claim.0,
                            &i16::try_from(response.status).unwrap_or(i16::MAX),
                            &response.content_type,
                            &sealer.seal(BODY, claim.0, &response.body)?,
                            &until,
                        ],
                    )
                    .await?;
                if completed == 0 {
                    return Err(DbError::Conflict("claim").into());
                }
                Ok(())
            })
            .await
    }

    /// Gives a claim back, so that the request may be tried again.
    ///
    /// # Errors
    /// When the database does not answer; the claim then lapses by itself.
    pub async fn release(&self, call: &Call, claim: ClaimId) -> Result<(), DbError> {
        self.0
            .run(call, |conn| async move {
                conn.execute(RELEASE, &[&call.workspace(), &call.user(), &claim.0])
                    .await
                    .map(drop)
            })
            .await
    }

    /// Deletes up to a thousand lapsed keys. Returns how many.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sweep(&self, deadline: mainstay_resilience::Deadline) -> Result<u64, DbError> {
        let now = self.0.now();
        self.0
            .run(deadline, |conn| async move {
                conn.execute(SWEEP, &[&now]).await
            })
            .await
    }
}

fn claim_of(row: &Row) -> Result<Uuid, crate::error::Failure> {
    Ok(row.try_get(1)?)
}
