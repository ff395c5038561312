//! Starting: phase by phase, and only then ready.

use super::{Database, Inner, lease::Conn, status::Phase};
use crate::{
    error::DbError,
    fresh,
    migrate::{self, MigrateError, Migration, SchemaError},
    statements,
};
use mainstay_resilience::Deadline;
use std::{future::Future, sync::atomic::Ordering, time::Duration};
use tokio_postgres::Client;

/// Growing begins with this many connections and adds one every step, so that
/// a hundred starting servers do not storm Postgres.
const FIRST: usize = 2;
const STEP: Duration = Duration::from_millis(100);
/// The oldest Postgres that everything here was written for.
const OLDEST_POSTGRES: i32 = 140_000;
/// The longest time of a phase that has no setting of its own.
const PHASE_LIMIT: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why starting was given up. Everything that may pass by itself is retried instead.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The schema cannot be used by this server.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Postgres is too old.
    #[error("Postgres {found} is too old; version 14 or newer is needed")]
    TooOld {
        /// The version that was found.
        found: String,
    },
    /// The database was closed meanwhile.
    #[error("the database was closed while it was starting")]
    Closed,
}

/// Why one attempt failed.
enum Attempt {
    /// It may pass: say why, wait, try again.
    Passing(String),
    Final(StartError),
}

impl From<tokio_postgres::Error> for Attempt {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Passing(explain(&error))
    }
}

impl From<DbError> for Attempt {
    fn from(error: DbError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Self::Passing(format!("{error}{}", cause.unwrap_or_default()))
    }
}

impl From<MigrateError> for Attempt {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Postgres(error) => error.into(),
            MigrateError::LockBusy => {
                Self::Passing("another instance holds the migration lock".to_owned())
            }
            MigrateError::NotNow(reason) => Self::Passing(reason),
            MigrateError::LockLost => Self::Passing(
                "the migration lock was lost; connect to Postgres directly or in session mode"
                    .to_owned(),
            ),
            MigrateError::Schema(error) => Self::Final(error.into()),
        }
    }
}

impl Database {
    /// Runs the phases until the database is ready. While Postgres is away it
    /// keeps trying, with growing pauses and the reason in [`Database::status`].
    ///
    /// # Errors
    /// [`StartError`] when waiting would not help: an unusable schema, a failed
    /// migration, a Postgres that is too old.
    pub async fn start(&self) -> Result<(), StartError> {
        let mut pause = Duration::from_millis(100);
        loop {
            match self.0.attempt().await {
                Ok(()) => {
                    self.0.progress.enter(Phase::Ready);
                    self.0.serving.store(true, Ordering::Release);
                    return Ok(());
                }
                Err(Attempt::Final(error)) => {
                    self.0.progress.explain(Some(error.to_string()));
                    return Err(error);
                }
                Err(Attempt::Passing(_)) if self.0.pool.is_closed() => {
                    return Err(StartError::Closed);
                }
                Err(Attempt::Passing(reason)) => {
                    let phase = self.0.progress.read().0.as_str();
                    tracing::warn!(name: "database.start_failed", phase, "the database did not start: {reason}; trying again");
                    self.0.progress.explain(Some(reason));
                }
            }
            tokio::time::sleep(pause.mul_f64(0.5 + fresh::jitter() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What `start` would migrate, without changing anything.
    ///
    /// # Errors
    /// [`StartError`] when the schema cannot be used; [`DbError`] as the inner
    /// value when Postgres cannot be asked.
    pub async fn migration_plan(&self) -> Result<Result<Vec<Migration>, DbError>, StartError> {
        let planned = async {
            let (client, _driver) = self.0.dedicated().await?;
            Ok::<_, Attempt>(migrate::plan(&client).await?.pending)
        };
        match planned.await {
            Ok(pending) => Ok(Ok(pending)),
            Err(Attempt::Final(error)) => Err(error),
            Err(Attempt::Passing(reason)) => Ok(Err(DbError::internal(reason))),
        }
    }
}

impl Inner {
    async fn attempt(&self) -> Result<(), Attempt> {
        self.migrate().await?;
        self.progress.enter(Phase::Growing);
        let conns = limited(PHASE_LIMIT, "opening connections", self.grow()).await?;
        self.progress.enter(Phase::Verifying);
        for conn in &conns {
            limited(PHASE_LIMIT, "verifying", verify(conn)).await?;
        }
        self.progress.enter(Phase::Warming);
        if !self.config.pgbouncer {
            for conn in &conns {
                limited(PHASE_LIMIT, "warming", warm(conn)).await?;
            }
        }
        self.progress.enter(Phase::Statistics);
        if let Some(conn) = conns.first() {
            limited(PHASE_LIMIT, "statistics", statistics(conn)).await?;
        }
        Ok(())
    }

    /// Lock, check and migrate on a session of its own.
    async fn migrate(&self) -> Result<(), Attempt> {
        self.progress.enter(Phase::Connecting);
        let (mut client, _driver) = self.dedicated().await?;
        limited(PHASE_LIMIT, "connecting", check_server(&client)).await?;

        self.progress.enter(Phase::Lock);
        let patience = Duration::from_secs(self.config.migration_lock_timeout_s);
        let deadline = Deadline::after(&*self.clock, patience);
        let lock = async {
            migrate::lock(&client, &*self.clock, deadline).await?;
            Ok::<_, Attempt>(migrate::verify_lock(&client).await?)
        };
        limited(
            patience + PHASE_LIMIT,
            "waiting for the migration lock",
            lock,
        )
        .await?;

        self.progress.enter(Phase::SchemaCheck);
        let plan = limited(PHASE_LIMIT, "checking the schema", async {
            Ok::<_, Attempt>(migrate::plan(&client).await?)
        })
        .await?;
        if !plan.pending.is_empty() {
            self.progress.enter(Phase::Migrating);
            let limit = Duration::from_secs(self.config.migration_timeout_s)
                .saturating_mul(u32::try_from(plan.pending.len()).unwrap_or(u32::MAX));
            let applied = limited(limit, "migrating", async {
                Ok::<_, Attempt>(migrate::apply(&mut client).await?)
            })
            .await?;
            tracing::info!(name: "database.migrated", applied, from = plan.schema, to = plan.own, "the schema was migrated");
        }
        limited(PHASE_LIMIT, "unlocking", async {
            Ok::<_, Attempt>(migrate::unlock(&client).await?)
        })
        .await
    }

    /// A session outside of the pool, without our statement timeout.
    async fn dedicated(&self) -> Result<(Client, Driver), Attempt> {
        let postgres = self
            .config
            .postgres()
            .map_err(|error| Attempt::Passing(error.to_string()))?;
        let opening = async { Ok::<_, Attempt>(self.connector.open(postgres).await?) };
        let limit = self.config.connect_timeout();
        let (client, driver) = limited(limit, "connecting", opening).await?;
        Ok((client, Driver(driver)))
    }

    /// Opens the minimum of connections and holds them all, so that each is a
    /// new one.
    async fn grow(&self) -> Result<Vec<Conn>, Attempt> {
        let mut conns = Vec::with_capacity(self.config.min_connections);
        while conns.len() < self.config.min_connections {
            if conns.len() >= FIRST {
                tokio::time::sleep(STEP).await;
            }
            conns.push(self.acquire(Deadline::never()).await?);
        }
        Ok(conns)
    }
}

/// Ends the session's driver with the session.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Gives `work` a time limit and a name in the reason.
async fn limited<T, E: Into<Attempt>>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Attempt> {
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(Attempt::Passing(format!(
            "{what} took longer than {} s",
            limit.as_secs_f32()
        ))),
    }
}

async fn check_server(client: &Client) -> Result<(), Attempt> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer, \
             current_setting('server_version'), pg_is_in_recovery()",
            &[],
        )
        .await?;
    if row.get::<_, i32>(0) < OLDEST_POSTGRES {
        return Err(Attempt::Final(StartError::TooOld { found: row.get(1) }));
    }
    if row.get(2) {
        return Err(Attempt::Passing(
            "the server is a standby; the URL must lead to the primary".to_owned(),
        ));
    }
    Ok(())
}

async fn verify(conn: &Conn) -> Result<(), DbError> {
    conn.query(statements::VERIFY, &[]).await?;
    Ok(())
}

async fn warm(conn: &Conn) -> Result<(), DbError> {
    for sql in statements::HOT {
        conn.prepare(sql).await?;
    }
    Ok(())
}

/// Analyses tables that changed much since they were last analysed, unless
/// another instance is at it.
async fn statistics(conn: &Conn) -> Result<(), DbError> {
    conn.batch(statements::ANALYSE_STALE).await?;
    Ok(())
}

/// A driver error in words for a person. Causes of connecting hold no secrets.
pub(crate) fn explain(error: &tokio_postgres::Error) -> String {
    if let Some(sent) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", sent.message(), sent.code().code());
    }
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
