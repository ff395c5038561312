//! `[database]`: Postgres, the system of record.

use super::Findings;
use mainstay_persistence::Config;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Postgres, the system of record.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `postgres://user:password@host:port/database`, with `?sslmode=require`
    /// across machines. Needed by everything but `config` and `openapi`.
    #[serde(serialize_with = "super::masked")]
    #[schemars(with = "Option<String>")]
    pub url: Option<SecretString>,
    /// Connections that are always open. Too few: the first requests after a
    /// quiet time wait. Default 5.
    pub min_connections: usize,
    /// Connections that are never exceeded. Too many: several servers together
    /// exhaust Postgres. Default 20.
    pub max_connections: usize,
    /// Callers that may wait for a connection; more are refused at once. Default 500.
    pub max_waiting: usize,
    /// The longest wait for a free connection, in milliseconds. Default 2000.
    pub acquire_timeout_ms: u64,
    /// The longest time of one operation, in milliseconds. Default 10000.
    pub statement_timeout_ms: u64,
    /// Certificates that may sign the server's, as a PEM file; without it the
    /// system's.
    pub tls_roots: Option<PathBuf>,
    /// True behind PgBouncer in transaction mode. Default false.
    pub pgbouncer: bool,
}

impl Default for Database {
    fn default() -> Self {
        let config = Config::default();
        Self {
            url: None,
            min_connections: config.min_connections,
            max_connections: config.max_connections,
            max_waiting: config.max_waiting,
            acquire_timeout_ms: config.acquire_timeout_ms,
            statement_timeout_ms: config.statement_timeout_ms,
            tls_roots: None,
            pgbouncer: false,
        }
    }
}

impl Database {
    pub(super) fn validate(&self, findings: &mut Findings) {
        let scheme = |url: &SecretString| {
            let url = url.expose_secret();
            url.starts_with("postgres://") || url.starts_with("postgresql://")
        };
        findings.check(
            self.url.as_ref().is_none_or(scheme),
            "url",
            "must be a URL such as postgres://user:password@host:5432/mainstay",
        );
        findings.check(
            self.min_connections <= self.max_connections && self.max_connections >= 1,
            "min_connections",
            "must be at most max_connections, which must be at least 1",
        );
        findings.check(
            self.max_connections <= 1_000,
            "max_connections",
            "must be at most 1000",
        );
    }

    /// The settings of the persistence crate, for the database at `url`.
    pub(crate) fn config(&self, url: SecretString) -> Config {
        Config {
            url,
            min_connections: self.min_connections,
            max_connections: self.max_connections,
            max_waiting: self.max_waiting,
            acquire_timeout_ms: self.acquire_timeout_ms,
            statement_timeout_ms: self.statement_timeout_ms,
            tls_roots: self.tls_roots.clone(),
            pgbouncer: self.pgbouncer,
            ..Config::default()
        }
    }
}
