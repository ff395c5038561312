//! Keeps the signing keys of access tokens current.
//!
//! Keys live in Postgres, sealed, so that every server signs with and trusts
//! the same ones. Each server looks every minute, well within the ten minutes
//! that a new key is published before it signs.

use super::{Started, deadline, now};
use crate::lifecycle::Spawner;
use jiff::{SignedDuration, Timestamp};
use mainstay_identity::{KeyRotation, KeySet, SigningKey};
use mainstay_persistence::{SigningKeyRecord, SigningKeys};
use mainstay_resilience::SharedClock;
use std::{error::Error, sync::Arc, time::Duration};

const PERIOD: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(1);
/// Kept longer than its last token lives, for clocks that disagree.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);

/// Loads the keys, again and again.
pub(crate) fn spawn(
    spawner: &Spawner,
    started: &Started,
    stored: SigningKeys,
    keys: &Arc<KeySet>,
    clock: &SharedClock,
) {
    let (started, keys, clock) = (started.clone(), Arc::clone(keys), clock.clone());
    spawner.spawn_until_drain(async move {
        started.database().await;
        loop {
            let pause = match refresh(&stored, &keys, &clock).await {
                Ok(()) => {
                    started.keys_are_loaded();
                    PERIOD
                }
                Err(error) => {
                    tracing::warn!(component = "signing_keys", %error, "the signing keys cannot be read; the known ones stay in force");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    });
}

async fn refresh(
    stored: &SigningKeys,
    keys: &KeySet,
    clock: &SharedClock,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let time = now(&**clock);
    let mut records = stored.all_valid(time, deadline(&**clock)).await?;
    keys.replace(read(&records)?);
    if keys.is_rotation_due(time) {
        let fresh = SigningKey::generate(time)?;
        let make = |at: Timestamp| record(&fresh, at);
        records = stored.load_or_create(make, deadline(&**clock)).await?;
        keys.replace(read(&records)?);
        tracing::info!(component = "signing_keys", count = records.len(), "rotated");
    }
    Ok(())
}

fn read(records: &[SigningKeyRecord]) -> Result<Vec<SigningKey>, mainstay_identity::KeyError> {
    records
        .iter()
        .map(|record| SigningKey::from_pkcs8(&record.pkcs8, record.created_at))
        .collect()
}

fn record(key: &SigningKey, at: Timestamp) -> SigningKeyRecord {
    let rotation = KeyRotation::default();
    let after = |from: Timestamp, seconds: u64| {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        from.saturating_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX)
    };
    let retires_at = after(at, rotation.period_seconds);
    let verifies_until = after(
        retires_at,
        rotation.publish_ahead_seconds + rotation.overlap_seconds,
    );
    SigningKeyRecord {
        kid: key.kid().to_owned(),
        pkcs8: key.to_pkcs8(),
        created_at: at,
        retires_at,
        expires_at: verifies_until
            .saturating_add(MARGIN)
            .unwrap_or(Timestamp::MAX),
    }
}
