//! What the database manager is doing, for people and for readiness.

use std::sync::{Mutex, PoisonError};

/// A step of starting, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Reaching Postgres and checking what it is.
    Connecting,
    /// Waiting for the migration lock.
    Lock,
    /// Comparing the schema with what this server was built for.
    SchemaCheck,
    /// Applying migrations.
    Migrating,
    /// Opening connections, a few at a time.
    Growing,
    /// Asking a real question on every connection.
    Verifying,
    /// Preparing the hot statements.
    Warming,
    /// Refreshing stale planner statistics.
    Statistics,
    /// Serving.
    Ready,
}

impl Phase {
    /// How many phases there are before and with `Ready`.
    pub const COUNT: usize = 9;

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Lock => "lock",
            Self::SchemaCheck => "schema_check",
            Self::Migrating => "migrating",
            Self::Growing => "growing",
            Self::Verifying => "verifying",
            Self::Warming => "warming",
            Self::Statistics => "statistics",
            Self::Ready => "ready",
        }
    }

    /// Its place, from 1 to [`Phase::COUNT`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize + 1
    }
}

/// The connections of the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStatus {
    /// Open connections.
    pub size: usize,
    /// Those that wait for work.
    pub idle: usize,
    /// Those at work.
    pub in_use: usize,
    /// The most there may be.
    pub max: usize,
    /// Calls that wait for one.
    pub waiting: usize,
}

/// The state of the database manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseStatus {
    /// Where starting has come to.
    pub phase: Phase,
    /// The phase's place, from 1.
    pub index: usize,
    /// How many phases there are.
    pub of: usize,
    /// Whether it serves. It stays true once it was reached, even while
    /// Postgres is away; see `reachable`.
    pub ready: bool,
    /// Whether the last dealings with Postgres went well.
    pub reachable: bool,
    /// Why it is not further or not reachable, for a person.
    pub reason: Option<String>,
    /// The connections.
    pub pool: PoolStatus,
}

/// Where starting has come to, shared between the starter and everybody who asks.
#[derive(Debug)]
pub(crate) struct Progress(Mutex<(Phase, Option<String>)>);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((Phase::Connecting, None)))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The reason of a former failure stays visible until things work again.
        if phase == Phase::Ready {
            state.1 = None;
        }
        state.0 = phase;
        tracing::debug!(name: "database.phase", phase = phase.as_str(), "database: {}", phase.as_str());
    }

    pub(crate) fn explain(&self, reason: Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = reason;
    }

    pub(crate) fn read(&self) -> (Phase, Option<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
