//! The database manager: connections, starting, and the two ways to run SQL.

mod connect;
mod housekeep;
mod lease;
mod listen;
mod maintain;
mod param;
mod start;
mod status;
#[cfg(test)]
mod tests;
mod transaction;

pub use housekeep::Housekeeping;
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
use mainstay_resilience::{
    BreakerSnapshot, CircuitBreaker, Retry, RetryBudget, SharedClock, State,
};
use status::Progress;
use std::{
    fmt,
    sync::{
        Arc, Mutex,
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
    /// Rung after a commit, here or elsewhere, that left something in the outbox.
    pub(crate) outbox_bell: Arc<Notify>,
    /// Whether other servers have not been told of such a commit yet.
    outbox_untold: AtomicBool,
    housekeeping: Mutex<Option<Housekeeping>>,
    pub(crate) connector: Connector,
    /// Open while Postgres does not answer, so that nobody waits for it in vain.
    breaker: CircuitBreaker,
    /// Repeats what Postgres undid because of others.
    retry: Retry,
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
        let outbox_bell = Arc::new(Notify::new());
        let connector = Connector::new(&config, handle.clone(), Arc::clone(&outbox_bell))?;
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
        let retry = retry(&clock)?;
        let email_index = BlindIndexKey::new(&*vault.derive("persistence.email-index")?);
        Ok(Self(Arc::new(Inner {
            keys: Keys::new(vault, clock.clone()),
            config,
            clock,
            email_index,
            outbox_bell,
            outbox_untold: AtomicBool::new(false),
            housekeeping: Mutex::new(None),
            connector,
            breaker,
            retry,
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

    /// Wakes the publisher: this server's at once, others' within the
    /// maintainer's next round.
    pub(crate) fn ring_outbox(&self) {
        self.outbox_untold.store(true, Ordering::Release);
        self.outbox_bell.notify_one();
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

/// At most four more tries, with growing random pauses, as long as retries stay
/// a small part of all work: a database full of conflicts is not helped by more.
fn retry(clock: &SharedClock) -> Result<Retry, ConfigError> {
    let invalid = |error: mainstay_resilience::ConfigError| {
        ConfigError::invalid("max_connections", error.to_string())
    };
    let budget = RetryBudget::builder().clock(Arc::clone(clock)).build();
    Retry::builder()
        .name("postgres.conflicts")
        .max_attempts(5)
        .exponential(Duration::from_millis(5), Duration::from_millis(200))
        .budget(budget.map_err(invalid)?)
        .build()
        .map_err(invalid)
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
