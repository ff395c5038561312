//! Migrations: embedded, checksummed, under a lock that is verified.
//!
//! The rules are in `migrations/README.md`.

use crate::database::explain;
use mainstay_resilience::{Clock, Deadline};
use std::time::Duration;
use tokio_postgres::Client;

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// The key of the advisory lock that starters share: "mainstay" in ASCII.
const LOCK: i64 = 0x6d61_696e_7374_6179;

/// Why the schema cannot be used. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database was migrated further than this server may follow.
    #[error(
        "the database's schema {schema} requires servers of schema {required} or newer, and this one was built for {own}; deploy a newer server"
    )]
    TooNew {
        /// The database's schema version.
        schema: i32,
        /// The oldest server schema that it admits.
        required: i32,
        /// This server's.
        own: i32,
    },
    /// An applied migration is not the one that this server carries.
    #[error("migration {version} was applied with other contents than this server carries")]
    Divergent {
        /// The migration's version.
        version: i32,
    },
    /// A migration failed; those before it stay applied.
    #[error("a migration failed: {reason}")]
    Failed {
        /// What Postgres said.
        reason: String,
    },
}

/// A migration that would be or was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its version, from 1.
    pub version: i32,
    /// What it does, from its file's name.
    pub name: String,
}

/// Where the schema stands against this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The applied version, 0 for an empty database.
    pub(crate) schema: i32,
    /// The version that this server was built for.
    pub(crate) own: i32,
    /// What is still to be applied.
    pub(crate) pending: Vec<Migration>,
}

/// What can go wrong on the way, before it is known whether it passes.
pub(crate) enum MigrateError {
    Postgres(tokio_postgres::Error),
    LockBusy,
    /// A migration could not be run now: a table was locked, Postgres was full
    /// or shutting down.
    NotNow(String),
    LockLost,
    Schema(SchemaError),
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<SchemaError> for MigrateError {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}

/// Takes the lock, polling: a blocking wait would hold a snapshot that stands
/// in the way of the other's concurrent index builds.
pub(crate) async fn lock(
    client: &Client,
    clock: &dyn Clock,
    deadline: Deadline,
) -> Result<(), MigrateError> {
    loop {
        let row = client
            .query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK])
            .await?;
        if row.get::<_, bool>(0) {
            return Ok(());
        }
        if deadline.is_expired(clock) {
            return Err(MigrateError::LockBusy);
        }
        let pause = Duration::from_millis(20);
        tokio::time::sleep(pause.mul_f64(1.0 + crate::fresh::jitter())).await;
    }
}

/// Asks the server whether this very session holds the lock. Behind a pooler
/// that changes servers it does not, and migrating would be unsafe.
pub(crate) async fn verify_lock(client: &Client) -> Result<(), MigrateError> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted \
             AND pid = pg_backend_pid() AND objsubid = 1 \
             AND (classid::bigint << 32 | objid::bigint) = $1)",
            &[&LOCK],
        )
        .await?;
    if row.get::<_, bool>(0) {
        Ok(())
    } else {
        Err(MigrateError::LockLost)
    }
}

pub(crate) async fn unlock(client: &Client) -> Result<(), MigrateError> {
    client
        .query_one("SELECT pg_advisory_unlock($1)", &[&LOCK])
        .await?;
    Ok(())
}

/// Compares what is applied with what this server carries.
pub(crate) async fn plan(client: &Client) -> Result<Plan, MigrateError> {
    let runner = embedded::migrations::runner();
    let carried = runner.get_migrations();
    let own = carried
        .iter()
        .map(refinery::Migration::version)
        .max()
        .unwrap_or(0);
    let applied = applied(client).await?;
    for (version, name, checksum) in &applied {
        let divergent = carried.iter().any(|m| {
            m.version() == *version && (m.name() != name || m.checksum().to_string() != *checksum)
        });
        if divergent {
            return Err(SchemaError::Divergent { version: *version }.into());
        }
    }
    let schema = applied.iter().map(|(version, ..)| *version).max();
    let schema = schema.unwrap_or(0);
    if schema > own {
        let required = requirement(client).await?;
        if required > own {
            return Err(SchemaError::TooNew {
                schema,
                required,
                own,
            }
            .into());
        }
    }
    let pending = carried
        .iter()
        .filter(|m| m.version() > schema)
        .map(|m| Migration {
            version: m.version(),
            name: m.name().to_owned(),
        });
    let mut pending: Vec<_> = pending.collect();
    pending.sort_by_key(|m| m.version);
    Ok(Plan {
        schema,
        own,
        pending,
    })
}

/// Applies what is pending, each migration in a transaction of its own. The
/// caller holds the lock on the same session.
pub(crate) async fn apply(client: &mut Client) -> Result<usize, MigrateError> {
    let report = embedded::migrations::runner()
        .set_grouped(false)
        .set_abort_divergent(true)
        .set_abort_missing(true)
        .run_async(client)
        .await
        .map_err(|error| classify(&error))?;
    Ok(report.applied_migrations().len())
}

async fn applied(client: &Client) -> Result<Vec<(i32, String, String)>, MigrateError> {
    let row = client
        .query_one(
            "SELECT to_regclass('refinery_schema_history') IS NOT NULL",
            &[],
        )
        .await?;
    if !row.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT version, name, checksum FROM refinery_schema_history ORDER BY version",
            &[],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect())
}

async fn requirement(client: &Client) -> Result<i32, MigrateError> {
    let row = client
        .query_one("SELECT max(oldest_version) FROM schema_requirement", &[])
        .await?;
    // Without a row nobody promised anything to older servers.
    Ok(row.get::<_, Option<i32>>(0).unwrap_or(i32::MAX))
}

/// Losing the connection, a lock, a full disk and a shutdown pass; a migration
/// that Postgres refuses does not.
fn classify(error: &refinery::Error) -> MigrateError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(postgres) = cause.downcast_ref::<tokio_postgres::Error>() {
            if postgres.as_db_error().is_none() {
                return MigrateError::LockLost;
            }
            let reason = format!("{error}: {}", explain(postgres));
            let code = postgres.code().map_or("", |state| state.code());
            let passing = ["08", "40", "53", "55P03", "57"]
                .iter()
                .any(|passing| code.starts_with(passing));
            return if passing {
                MigrateError::NotNow(reason)
            } else {
                SchemaError::Failed { reason }.into()
            };
        }
        source = cause.source();
    }
    SchemaError::Failed {
        reason: error.to_string(),
    }
    .into()
}
