//! How to reach the database, and how long anybody waits for it.

use crate::repositories::retention::RetentionPolicy;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{path::PathBuf, time::Duration};

/// Settings of the database.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where Postgres is: `postgres://user:password@host:port/database`, with
    /// `?sslmode=require` across machines. No default.
    pub url: SecretString,
    /// Connections that are always open. Too low: the first requests after a
    /// quiet time wait for connecting. Default 5.
    pub min_connections: usize,
    /// Connections that are never exceeded. Too high: many servers together
    /// exhaust Postgres. Default 20.
    pub max_connections: usize,
    /// How many may wait for a connection; more are refused at once instead of
    /// piling up. Default 500.
    pub max_waiting: usize,
    /// The longest wait for a free connection, in milliseconds. Default 2000.
    pub acquire_timeout_ms: u64,
    /// The longest time to open a connection, in milliseconds. Default 3000.
    pub connect_timeout_ms: u64,
    /// The longest time of one operation when its caller's deadline is further
    /// away, in milliseconds. Postgres itself stops a statement a little
    /// earlier. Default 10000.
    pub statement_timeout_ms: u64,
    /// The longest wait of one statement for somebody's lock, in milliseconds.
    /// Default 5000.
    pub lock_timeout_ms: u64,
    /// How many operations in a row must find Postgres away before the others
    /// are refused at once. Default 5.
    pub breaker_failures: u32,
    /// How long they are refused before one tries again, in milliseconds. Too
    /// long: the return of Postgres is noticed late. Default 1000.
    pub breaker_open_ms: u64,
    /// The age at which a connection is replaced, in seconds, so that a server
    /// behind a changed DNS name is found. Default 1800.
    pub max_lifetime_s: u64,
    /// The longest that start-up waits for another instance's migrations before
    /// it says so and tries again, in seconds. Default 60.
    pub migration_lock_timeout_s: u64,
    /// The longest time of one migration, in seconds. Default 600.
    pub migration_timeout_s: u64,
    /// How often housekeeping looks for drift, for what is past its retention
    /// and for data keys to rewrap, in seconds. Default 300.
    pub housekeeping_s: u64,
    /// How long each kind of row is kept.
    pub retention: RetentionPolicy,
    /// Certificates that may sign the server's, as a PEM file; without it the
    /// system's.
    pub tls_roots: Option<PathBuf>,
    /// True when the URL leads to PgBouncer in transaction mode: no statement
    /// outlives its transaction and no session settings are used. Default false.
    pub pgbouncer: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: SecretString::from(""),
            min_connections: 5,
            max_connections: 20,
            max_waiting: 500,
            acquire_timeout_ms: 2_000,
            connect_timeout_ms: 3_000,
            statement_timeout_ms: 10_000,
            lock_timeout_ms: 5_000,
            breaker_failures: 5,
            breaker_open_ms: 1_000,
            max_lifetime_s: 1_800,
            migration_lock_timeout_s: 60,
            migration_timeout_s: 600,
            housekeeping_s: 300,
            retention: RetentionPolicy::default(),
            tls_roots: None,
            pgbouncer: false,
        }
    }
}

/// A setting that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that is out of its range.
    #[error("database.{key}: {message}")]
    Invalid {
        /// The setting's name.
        key: &'static str,
        /// What is wrong; never the value of a secret.
        message: String,
    },
    /// The pool was built outside of a tokio runtime.
    #[error("the database must be set up inside a tokio runtime")]
    NoRuntime,
    /// The keyring gave no key.
    #[error("the keyring gave no key: {0}")]
    Keys(#[from] mainstay_encryption::KeyError),
}

impl ConfigError {
    pub(crate) fn invalid(key: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            key,
            message: message.into(),
        }
    }
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// Names the first setting that cannot work.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.postgres().map(drop)?;
        if self.min_connections == 0 || self.max_connections < self.min_connections {
            return Err(ConfigError::invalid(
                "max_connections",
                "must be at least min_connections, which must be at least 1",
            ));
        }
        for (key, value) in [
            ("max_waiting", self.max_waiting as u64),
            ("acquire_timeout_ms", self.acquire_timeout_ms),
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("statement_timeout_ms", self.statement_timeout_ms),
            ("lock_timeout_ms", self.lock_timeout_ms),
            ("breaker_failures", u64::from(self.breaker_failures)),
            ("breaker_open_ms", self.breaker_open_ms),
            ("max_lifetime_s", self.max_lifetime_s),
            ("housekeeping_s", self.housekeeping_s),
            ("migration_lock_timeout_s", self.migration_lock_timeout_s),
            ("migration_timeout_s", self.migration_timeout_s),
        ] {
            if value == 0 || value > 86_400_000 {
                return Err(ConfigError::invalid(key, "must be from 1 to 86400000"));
            }
        }
        Ok(())
    }

    /// The driver's settings of the URL, without session settings.
    pub(crate) fn postgres(&self) -> Result<tokio_postgres::Config, ConfigError> {
        let url = self.url.expose_secret();
        if url.is_empty() {
            return Err(ConfigError::invalid(
                "url",
                "is missing; set it to postgres://user:password@host:port/database",
            ));
        }
        // The driver's message could repeat a part of the URL.
        let mut postgres: tokio_postgres::Config = url.parse().map_err(|_| {
            ConfigError::invalid(
                "url",
                "is not a URL such as postgres://user:password@host:port/database",
            )
        })?;
        if postgres.get_application_name().is_none() {
            postgres.application_name("mainstay");
        }
        postgres
            .connect_timeout(self.connect_timeout())
            .tcp_user_timeout(Duration::from_millis(self.statement_timeout_ms))
            .keepalives_idle(Duration::from_secs(30));
        Ok(postgres)
    }

    /// The driver's settings of a pooled connection.
    pub(crate) fn pooled(&self) -> Result<tokio_postgres::Config, ConfigError> {
        let mut postgres = self.postgres()?;
        if !self.pgbouncer {
            let own = postgres.get_options().unwrap_or_default().to_owned();
            postgres.options(format!("{own} {}", self.session_options()));
        }
        Ok(postgres)
    }

    /// Postgres gives up a little before we do, so that its answer still finds us waiting.
    fn session_options(&self) -> String {
        let statement = self.server_statement_timeout_ms();
        format!(
            "-c statement_timeout={statement} -c idle_in_transaction_session_timeout={statement} \
             -c lock_timeout={} -c timezone=UTC",
            self.lock_timeout_ms.min(statement)
        )
    }

    pub(crate) fn server_statement_timeout_ms(&self) -> u64 {
        (self.statement_timeout_ms * 9 / 10).max(1)
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms)
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }
}
