//! Housekeeping: drift, retention and rewrapping, every few minutes.

use super::Database;
use crate::{
    error::DbError,
    repositories::{consistency::Drift, retention::RetentionReport},
};
use jiff::Timestamp;
use mainstay_resilience::Deadline;
use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

/// How often it is looked whether it is time, or whether the database was closed.
const GLANCE: Duration = Duration::from_secs(1);
/// Rows of each kind that retention deletes at once, and data keys that are
/// rewrapped at once: small enough to hold no lock for long.
const BATCH: u32 = 500;
/// The most batches of a round, so that it ends.
const BATCHES: u32 = 100;
/// The longest time of one step.
const LIMIT: Duration = Duration::from_secs(30);

/// What the last round found, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Housekeeping {
    /// When it ended.
    pub at: Timestamp,
    /// Drift by kind.
    pub drift: Vec<Drift>,
    /// What retention deleted, and how far behind it is.
    pub retention: Vec<RetentionReport>,
    /// Data keys that a former key-encryption key still wraps.
    pub keys_to_rewrap: u64,
}

impl Database {
    /// What the last round of housekeeping found; `None` before the first.
    #[must_use]
    pub fn housekeeping(&self) -> Option<Housekeeping> {
        self.0
            .housekeeping
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Keeps house until the database is closed. The first round is at a random
    /// part of the period, so that servers that start together do not do it together.
    pub(super) async fn keep_house(&self) {
        let period = Duration::from_secs(self.0.config.housekeeping_s);
        let mut due = self.0.clock.now() + period.mul_f64(crate::fresh::jitter());
        while !self.0.is_closed() {
            tokio::time::sleep(GLANCE).await;
            if !self.0.serving.load(Ordering::Acquire) || self.0.clock.now() < due {
                continue;
            }
            due = self.0.clock.now() + period;
            if let Err(error) = self.housekeep().await {
                tracing::warn!(name: "database.housekeeping_failed", %error, "housekeeping was cut short; it goes on with the next round");
            }
        }
    }

    /// One round: repairs what is safe to, deletes what is past its policy, and
    /// rewraps data keys when the key-encryption key was rotated. Runs by
    /// itself; public for operators' commands.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn housekeep(&self) -> Result<Housekeeping, DbError> {
        let deadline = || Deadline::after(&*self.0.clock, LIMIT);
        let drift = self.consistency().check(true, deadline()).await?;
        for found in drift.iter().filter(|drift| drift.found > 0) {
            tracing::warn!(name: "database.drift", kind = found.kind, found = found.found, repaired = found.repaired, "state had drifted");
        }
        let policy = &self.0.config.retention;
        let mut retention = Vec::new();
        for _ in 0..BATCHES {
            retention = self
                .retention()
                .sweep(policy, BATCH, false, deadline())
                .await?;
            if retention.iter().all(|report| report.deleted == 0) {
                break;
            }
        }
        let rotation = self.key_rotation();
        for _ in 0..BATCHES {
            if rotation.rewrap(BATCH, deadline()).await? == 0 {
                break;
            }
        }
        let done = Housekeeping {
            at: self.0.now(),
            drift,
            retention,
            keys_to_rewrap: rotation.remaining(deadline()).await?,
        };
        *self
            .0
            .housekeeping
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(done.clone());
        Ok(done)
    }
}
