//! The database manager: connections, starting, and the two ways to run SQL.

mod connect;
mod lease;
mod maintain;
mod param;
mod start;
mod status;
#[cfg(test)]
mod tests;
mod transaction;

pub use start::StartError;
pub use status::{DatabaseStatus, Phase, PoolStatus};

pub(crate) use lease::{Conn, both};
pub(crate) use param::Param;
pub(crate) use start::explain;
pub(crate) use transaction::Isolation;

use crate::{
    config::{Config, ConfigError},
    keys::Keys,
};
use connect::Connector;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use jiff::Timestamp;
use mainstay_encryption::{BlindIndexKey, Vault};
use mainstay_resilience::{BreakerSnapshot, CircuitBreaker, SharedClock, State};
use status::Progress;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, sync::Notify};

/// The database. Cloning shares it. Repositories are handed out as narrow
/// handles, so that a component can do only what it was given.
#[derive(Clone)]
pub struct Database(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) keys: Keys,
    pub(crate) email_index: BlindIndexKey,
    /// Rung after a commit that left something in the outbox.
    pub(crate) outbox_bell: Notify,
    pub(crate) connector: Connector,
    /// Open while Postgres does not answer, so that nobody waits for it in vain.
    breaker: CircuitBreaker,
    pool: Pool,
    handle: Handle,
    progress: Progress,
    serving: AtomicBool,
    waiting: AtomicUsize,
}

impl Database {
    /// Sets everything up and returns at once; nothing is connected before
    /// [`Database::start`]. Connections live on the runtime that this is called on.
    ///
    /// # Errors
    /// [`ConfigError`] when a setting cannot work or there is no runtime.
    pub fn new(config: Config, clock: SharedClock, vault: Vault) -> Result<Self, ConfigError> {
        config.validate()?;
        let handle = Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let connector = Connector::new(&config, handle.clone())?;
        let manager = Manager::from_connect(
            config.pooled()?,
            connector.clone(),
            // Leases return only connections at rest, so a check whether the
            // socket still lives is enough.
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(config.max_connections)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .build()
            .map_err(|error| ConfigError::invalid("max_connections", error.to_string()))?;
        let breaker = CircuitBreaker::builder("postgres")
            .consecutive_failures(config.breaker_failures)
            .open_for(Duration::from_millis(config.breaker_open_ms))
            .clock(clock.clone())
            .build()
            .map_err(|error| ConfigError::invalid("breaker_failures", error.to_string()))?;
        let email_index = BlindIndexKey::new(&*vault.derive("persistence.email-index")?);
        Ok(Self(Arc::new(Inner {
            keys: Keys::new(vault, clock.clone()),
            config,
            clock,
            email_index,
            outbox_bell: Notify::new(),
            connector,
            breaker,
            pool,
            handle,
            progress: Progress::new(),
            serving: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        })))
    }

    /// What the manager is doing.
    #[must_use]
    pub fn status(&self) -> DatabaseStatus {
        let (phase, reason) = self.0.progress.read();
        let ready = self.is_ready();
        DatabaseStatus {
            phase,
            index: phase.index(),
            of: Phase::COUNT,
            ready,
            reachable: ready && reason.is_none() && self.0.breaker.state() == State::Closed,
            reason,
            pool: self.0.pool_status(),
        }
    }

    /// The state of the breaker round Postgres, for metrics.
    #[must_use]
    pub fn breaker(&self) -> BreakerSnapshot {
        self.0.breaker.snapshot()
    }

    /// Whether starting has come to its end.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.serving.load(Ordering::Acquire)
    }

    /// Closes every connection at rest and refuses new work; work in progress
    /// finishes on its own.
    pub fn close(&self) {
        self.0.serving.store(false, Ordering::Release);
        self.0.pool.close();
    }
}

impl Inner {
    /// The wall time, cut to the microseconds that Postgres keeps.
    pub(crate) fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.clock.unix_time().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    pub(crate) fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus {
            size: status.size,
            idle: status.available,
            in_use: status.size.saturating_sub(status.available),
            max: status.max_size,
            waiting: self.waiting.load(Ordering::Acquire),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
