//! A database of a test's own on the Postgres that the whole test run shares.

use std::fmt::Display;
use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};
use url::Url;
use uuid::Uuid;

use crate::environment::{SetupError, variable};

/// An own database, dropped with whatever is still connected to it when this value is dropped.
pub struct TestDatabase {
    name: String,
    url: String,
}

impl TestDatabase {
    /// Creates an empty database.
    pub async fn create() -> Result<Self, SetupError> {
        Self::copy_of("template0").await
    }

    /// Creates a database that `prepare` has filled, calling `prepare` once per
    /// test run and copying its result for every other test.
    ///
    /// `key` names what was prepared (lower-case letters, digits and `_`, at
    /// most 40); let it change with the content, for instance by a digest of
    /// the migrations. `prepare` gets the address of an empty database.
    pub async fn prepared<E: Display>(
        key: &str,
        prepare: impl AsyncFnOnce(&str) -> Result<(), E>,
    ) -> Result<Self, SetupError> {
        check_key(key)?;
        let template = format!("template_{key}");
        let admin = connect(&shared_url()?).await?;
        // Held by the session, so a test that dies in between lets the next one try.
        admin
            .execute(
                "SELECT pg_advisory_lock(hashtextextended($1, 0))",
                &[&template],
            )
            .await
            .map_err(|error| SetupError::wrap("cannot lock the template", describe(&error)))?;
        let known = admin
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&template])
            .await
            .map_err(|error| SetupError::wrap("cannot look for the template", describe(&error)))?;
        if known.is_none() {
            let unfinished = Self::create().await?;
            prepare(&unfinished.url)
                .await
                .map_err(|error| SetupError::wrap("cannot prepare the template", error))?;
            freeze_as(&admin, unfinished, &template).await?;
        }
        drop(admin);
        Self::copy_of(&template).await
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The superuser's address of it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection to it, driven in the background until the client is dropped.
    pub async fn connect(&self) -> Result<Client, SetupError> {
        connect(&self.url).await
    }

    async fn copy_of(template: &str) -> Result<Self, SetupError> {
        let shared = shared_url()?;
        let name = format!("test_{}", Uuid::now_v7().simple());
        let admin = connect(&shared).await?;
        execute(
            &admin,
            &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\""),
        )
        .await?;
        Ok(Self {
            url: with_database(&shared, &name)?,
            name,
        })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        if name.is_empty() {
            return;
        }
        // A runtime of its own on a thread of its own: this may run inside a
        // test's runtime, which must not be blocked on itself.
        let dropping = std::thread::spawn(move || drop_database(&name));
        let _best_effort = dropping.join();
    }
}

/// Drops the database; `cargo xtask test` removes the whole server anyway, this keeps its disk small.
fn drop_database(name: &str) -> Result<(), SetupError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| SetupError::wrap("cannot start a runtime", error))?;
    runtime.block_on(async {
        let admin = connect(&shared_url()?).await?;
        execute(&admin, "SET statement_timeout = '20s'").await?;
        execute(
            &admin,
            &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"),
        )
        .await
    })
}

/// Turns a prepared database into a template that nobody can connect to and so anybody can copy.
async fn freeze_as(
    admin: &Client,
    mut prepared: TestDatabase,
    template: &str,
) -> Result<(), SetupError> {
    let name = prepared.name.clone();
    execute(
        admin,
        &format!("ALTER DATABASE \"{name}\" WITH ALLOW_CONNECTIONS false"),
    )
    .await?;
    admin
        .execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1",
            &[&name],
        )
        .await
        .map_err(|error| SetupError::wrap("cannot close the template", describe(&error)))?;
    execute(
        admin,
        &format!("ALTER DATABASE \"{name}\" RENAME TO \"{template}\""),
    )
    .await?;
    // It is a template now, not a test's database to drop.
    prepared.name.clear();
    Ok(())
}

/// The address of the Postgres that the whole test run shares.
pub fn shared_url() -> Result<String, SetupError> {
    variable("MAINSTAY_TEST_POSTGRES_URL")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the connection's driver ends with its client; a test has no lifecycle to register it with"
)]
async fn connect(url: &str) -> Result<Client, SetupError> {
    let mut config: Config = url
        .parse()
        .map_err(|error| SetupError::wrap("MAINSTAY_TEST_POSTGRES_URL is no address", error))?;
    config.connect_timeout(Duration::from_secs(20));
    let (client, connection) = config
        .connect(NoTls)
        .await
        .map_err(|error| SetupError::wrap("cannot reach the test Postgres", describe(&error)))?;
    tokio::spawn(connection);
    Ok(client)
}

async fn execute(client: &Client, statement: &str) -> Result<(), SetupError> {
    client
        .batch_execute(statement)
        .await
        .map_err(|error| SetupError::wrap(statement, describe(&error)))
}

/// tokio-postgres says only `db error`; the reason is in its source.
fn describe(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

fn with_database(url: &str, name: &str) -> Result<String, SetupError> {
    let mut url = Url::parse(url)
        .map_err(|error| SetupError::wrap("MAINSTAY_TEST_POSTGRES_URL is no address", error))?;
    url.set_path(name);
    Ok(url.into())
}

fn check_key(key: &str) -> Result<(), SetupError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if key.is_empty() || key.len() > 40 || !key.chars().all(plain) {
        return Err(SetupError::new(format!(
            "`{key}` cannot name a template: use up to 40 of a-z, 0-9 and _"
        )));
    }
    Ok(())
}
