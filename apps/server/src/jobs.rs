//! Work that goes on beside requests, from the moment the database is ready
//! until the drain.

pub(crate) mod events;
pub(crate) mod hits;
pub(crate) mod instance;
pub(crate) mod revocations;
pub(crate) mod signing;

use crate::{
    lifecycle::Spawner,
    readiness::{Component, ComponentState, Readiness},
};
use mainstay_persistence::Database;
use mainstay_resilience::{Clock, Deadline};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// How long a job waits for one answer of the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells jobs when the database is ready, and readiness when the jobs that
/// requests depend on have run once.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    database: watch::Receiver<bool>,
    keys_loaded: Arc<AtomicBool>,
}

impl Started {
    /// Starts the database in the background. A schema that cannot be used
    /// stays visible in `/ready`; the process lives on, so that it can be asked.
    pub(crate) fn new(database: &Database, spawner: &Spawner, readiness: &Readiness) -> Self {
        let (ready, watched) = watch::channel(false);
        let starting = database.clone();
        spawner.spawn_until_drain(async move {
            match starting.start().await {
                Ok(()) => {
                    ready.send_replace(true);
                    tracing::info!(component = "database", "ready");
                    starting.maintain().await;
                }
                Err(error) => {
                    tracing::error!(critical = true, component = "database", %error, "the database cannot be used");
                    // Holding the sender keeps the jobs waiting.
                    std::future::pending::<()>().await;
                }
            }
        });
        let keys_loaded = Arc::new(AtomicBool::new(false));
        let loaded = Arc::clone(&keys_loaded);
        readiness.watch(move || Component {
            name: "signing_keys",
            state: if loaded.load(Ordering::Acquire) {
                ComponentState::Ready
            } else {
                ComponentState::Starting
            },
            required: true,
            phase: None,
            reason: None,
        });
        Self {
            database: watched,
            keys_loaded,
        }
    }

    /// Waits until the database is ready.
    async fn database(&self) {
        let mut database = self.database.clone();
        if database.wait_for(|ready| *ready).await.is_err() {
            // The starter is gone, and the process with it.
            std::future::pending::<()>().await;
        }
    }

    fn keys_are_loaded(&self) {
        self.keys_loaded.store(true, Ordering::Release);
    }
}

fn deadline(clock: &dyn Clock) -> Deadline {
    Deadline::after(clock, PATIENCE)
}

/// The wall time of `clock`.
pub(crate) fn now(clock: &dyn Clock) -> jiff::Timestamp {
    i64::try_from(clock.unix_time().as_micros())
        .ok()
        .and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
