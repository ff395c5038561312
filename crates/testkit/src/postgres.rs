//! A Postgres of a test's own, to be stopped, killed and frozen.
//!
//! Tests that only need tables use [`TestDatabase`](crate::database::TestDatabase),
//! which costs milliseconds; this one costs about a second.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustix::process::Signal;
use uuid::Uuid;

use crate::environment::{SetupError, variable};
use crate::instance::{Instance, blocking};

const SUPERUSER: &str = "mainstay";

/// A private Postgres on a loopback port that stays the same over restarts.
/// Removed with its data when dropped.
#[derive(Clone)]
pub struct PrivatePostgres {
    inner: Arc<Inner>,
}

struct Inner {
    instance: Instance,
    binaries: PathBuf,
    password: String,
}

impl PrivatePostgres {
    /// Creates an empty cluster and starts it.
    pub async fn start() -> Result<Self, SetupError> {
        blocking(|| {
            let inner = Inner {
                binaries: PathBuf::from(variable("MAINSTAY_TEST_PG_BIN")?),
                instance: Instance::new("postgres")?,
                password: Uuid::now_v7().simple().to_string(),
            };
            inner.create()?;
            inner.serve()?;
            Ok(Self {
                inner: Arc::new(inner),
            })
        })
        .await
    }

    /// The superuser's address of its database `postgres`.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The superuser's address of a database.
    pub fn url_of(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}?sslmode=disable",
            self.inner.password,
            self.port()
        )
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.inner.instance.port()
    }

    /// Whether it was started and not stopped or killed since.
    pub fn is_running(&self) -> bool {
        self.inner.instance.is_running()
    }

    /// Shuts it down in order, ending every session.
    pub async fn stop(&self) -> Result<(), SetupError> {
        self.off_thread(|inner| {
            inner.instance.stop(Signal::INT);
            Ok(())
        })
        .await
    }

    /// Kills every process of it at once, as a crash of the machine would.
    pub async fn kill9(&self) -> Result<(), SetupError> {
        self.off_thread(|inner| {
            inner.instance.kill();
            Ok(())
        })
        .await
    }

    /// Stops every process of it from running: connections stay open, nothing is answered.
    pub fn freeze(&self) {
        self.inner.instance.freeze();
    }

    /// Lets it run on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.inner.instance.thaw();
    }

    /// Starts it again on the same port with the same data, stopping it first if it runs.
    pub async fn restart(&self) -> Result<(), SetupError> {
        self.off_thread(|inner| {
            inner.instance.stop(Signal::INT);
            inner.serve()
        })
        .await
    }

    async fn off_thread(
        &self,
        work: impl FnOnce(&Inner) -> Result<(), SetupError> + Send + 'static,
    ) -> Result<(), SetupError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || work(&inner)).await
    }
}

impl Inner {
    fn data(&self) -> PathBuf {
        self.instance.home().join("data")
    }

    fn create(&self) -> Result<(), SetupError> {
        let secret = self.instance.write_private("password", &self.password)?;
        let initdb = |locale: &str| {
            self.instance.run(
                Command::new(self.binaries.join("initdb"))
                    .arg("--pgdata")
                    .arg(self.data())
                    .args(["--username", SUPERUSER, "--encoding", "UTF8"])
                    .args(["--locale", locale, "--auth", "password", "--no-sync"])
                    .arg("--pwfile")
                    .arg(&secret),
            )
        };
        // Case and letters beyond ASCII need UTF-8; systems without that locale still have C.
        initdb("C.UTF-8").or_else(|_| initdb("C"))
    }

    fn serve(&self) -> Result<(), SetupError> {
        let mut command = Command::new(self.binaries.join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.instance.port().to_string()])
            // Without fsync a killed process still loses nothing: the kernel has the pages.
            .args(["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "max_connections=100", "-c", "shared_buffers=32MB"]);
        self.instance.launch(command, |id| self.reports_ready(id))
    }

    /// Postgres writes `ready` into the eighth line of its pid file, which is how pg_ctl waits too.
    fn reports_ready(&self, id: u32) -> bool {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        lines.next() == Some(&id.to_string()) && lines.nth(6) == Some("ready")
    }
}
