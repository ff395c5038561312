//! Carry a command to its outcome through governance, cache, database and AI.
//!
//! One file per use case, each an `impl` of [`Orchestrator`]. Data flows
//! downhill once: a use case asks governance, then the cache, then the
//! database, then a model, and writes its outcome in one transaction.
//!
//! A handler whose whole work is one call of one repository makes that call
//! itself; whatever touches two things is a use case here.

// Use cases await through cache, Redis and database; with every tier compiled
// in, the futures nest deeper than the compiler's default allows.
#![recursion_limit = "256"]

mod accounts;
mod agents;
mod answering;
mod caching;
mod config;
mod conversing;
mod directory;
mod error;
mod event;
mod execution;
mod model;
mod personas;
mod question;
mod recorder;
mod services;
mod sink;
mod workspace;
mod write_later;

pub use accounts::{Invited, LoggedIn, Register};
pub use answering::Rehearsal;
pub use config::{Config, InvalidConfig, RegistrationPolicy};
pub use conversing::{Said, Saying, Watched};
pub use error::Error;
pub use event::{AnswerEvent, Failure};
pub use execution::ExecutionStream;
pub use personas::Suggestion;
pub use question::Ask;
pub use services::{Handles, RunKey, TokenObserver};

use directory::Directory;
use mainstay_resilience::Backoff;
use recorder::Recorder;
use services::Services;
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The use cases. Cloning shares everything.
#[derive(Clone)]
pub struct Orchestrator(Arc<Services>);

impl Orchestrator {
    /// Puts the use cases together.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the first setting that cannot work.
    pub fn new(config: Config, handles: Handles) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let backoff =
            Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).map_err(|_| {
                InvalidConfig {
                    field: "backoff",
                    reason: "must begin below its longest wait",
                }
            })?;
        let directory = Directory::new(
            handles.cache.clone(),
            handles.workspaces.clone(),
            handles.personas.clone(),
        );
        Ok(Self(Arc::new(Services {
            config,
            directory,
            recorder: Recorder::new(),
            backoff,
            handles,
        })))
    }

    /// Writes the records of cache hits in batches until `shutdown`, then the
    /// rest. To be run once, beside the server.
    pub async fn record_hits(&self, shutdown: CancellationToken) {
        let services = &self.0;
        services
            .recorder
            .run(&services.usage, &services.clock, shutdown)
            .await;
    }

    /// Records of cache hits that were lost because the database was away for
    /// too long.
    #[must_use]
    pub fn lost_hits(&self) -> u64 {
        self.0.recorder.lost()
    }

    /// Runs that go on at the moment.
    #[must_use]
    pub fn active_runs(&self) -> usize {
        self.0.runs.stats().active
    }
}

impl fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Orchestrator")
    }
}
