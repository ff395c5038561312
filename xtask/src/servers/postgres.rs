//! A private Postgres on a loopback port, run as a direct child.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::account::{Account, give, run_as};
use super::binaries::major_version;
use super::random::{free_port, password};
use crate::process::{Service, Signal, capture, guarded, is_alive, pause, signal_process};
use crate::project::ensure_directory;

/// The superuser of every private cluster.
const SUPERUSER: &str = "mainstay";

/// The longest path that fits into a Unix socket address, less the file name Postgres adds.
const LONGEST_SOCKET_DIRECTORY: usize = 85;

/// What a cluster is for, which decides what it may lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Survives a power cut like any production server.
    Development,
    /// Thrown away afterwards: commits are ordered but never forced to disk.
    Tests,
}

/// A running private Postgres; stopped when dropped.
pub(crate) struct Postgres {
    service: Service,
    binaries: PathBuf,
    port: u16,
    password: String,
}

impl Postgres {
    /// Starts the cluster under `home`, creating it first when there is none.
    pub(crate) fn start(
        binaries: &Path,
        home: &Path,
        account: Option<&Account>,
        purpose: Purpose,
    ) -> Result<Self> {
        ensure_directory(home)?;
        let data = home.join("data");
        if data.join("PG_VERSION").exists() {
            check_version(binaries, &data)?;
            end_orphan(&data);
        } else {
            create(binaries, home, &data, account)?;
        }
        let password = fs::read_to_string(home.join("password"))
            .with_context(|| {
                format!(
                    "the password of the cluster in {} is lost; start anew with --fresh",
                    home.display()
                )
            })?
            .trim()
            .to_owned();
        let port = free_port()?;
        let service = serve(binaries, home, &data, port, account, purpose)?;
        Ok(Self {
            service,
            binaries: binaries.to_owned(),
            port,
            password,
        })
    }

    /// The superuser's address of one database, over TCP on loopback.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}?sslmode=disable",
            self.password, self.port
        )
    }

    /// The directory of its programs.
    pub(crate) fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// Creates a database of this name unless there is one.
    pub(crate) fn ensure_database(&self, name: &str) -> Result<()> {
        let outcome = capture(
            Command::new(self.binaries.join("createdb"))
                .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
                .args(["--username", SUPERUSER, "--no-password", name])
                .env("PGPASSWORD", &self.password)
                .env("PGSSLMODE", "disable")
                // The message is read below, so it must not be translated.
                .env("LC_ALL", "C"),
        );
        match outcome {
            Err(error) if format!("{error:#}").contains("already exists") => Ok(()),
            other => other.map(drop),
        }
    }

    /// The exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        self.service.ended()
    }
}

/// Creates the cluster beside its final place, so that an initdb that was cut short leaves nothing half-made there.
fn create(binaries: &Path, home: &Path, data: &Path, account: Option<&Account>) -> Result<()> {
    let unfinished = home.join("data.unfinished");
    for leftover in [&unfinished, &data.to_owned()] {
        if leftover.exists() {
            fs::remove_dir_all(leftover)
                .with_context(|| format!("cannot remove {}", leftover.display()))?;
        }
    }
    fs::create_dir(&unfinished)
        .with_context(|| format!("cannot create {}", unfinished.display()))?;
    give(&unfinished, account)?;
    let secret = home.join("password");
    write_private(&secret, &password()?)?;
    give(&secret, account)?;
    // Case and letters beyond ASCII need UTF-8; systems without that locale still have C.
    initdb(binaries, home, &unfinished, "C.UTF-8", account)
        .or_else(|_| initdb(binaries, home, &unfinished, "C", account))
        .context("cannot create the Postgres cluster")?;
    fs::rename(&unfinished, data)?;
    Ok(())
}

/// Fills an empty directory with a cluster; leaves it empty when that fails.
fn initdb(
    binaries: &Path,
    home: &Path,
    data: &Path,
    locale: &str,
    account: Option<&Account>,
) -> Result<()> {
    let mut initdb = Command::new(binaries.join("initdb"));
    initdb
        .arg("--pgdata")
        .arg(data)
        .args([
            "--username",
            SUPERUSER,
            "--encoding",
            "UTF8",
            "--locale",
            locale,
        ])
        // The password crosses loopback only. Checking it in clear text spares
        // every connection of a debug build thousands of unoptimised hashes.
        .args(["--auth", "password", "--no-sync", "--pwfile"])
        .arg(home.join("password"))
        .current_dir(home);
    capture(run_as(&mut initdb, account)).map(drop)
}

fn serve(
    binaries: &Path,
    home: &Path,
    data: &Path,
    port: u16,
    account: Option<&Account>,
    purpose: Purpose,
) -> Result<Service> {
    let sockets = home.join("socket");
    ensure_directory(&sockets)?;
    give(&sockets, account)?;
    let socket_directory = if sockets.as_os_str().len() <= LONGEST_SOCKET_DIRECTORY {
        sockets.to_string_lossy().into_owned()
    } else {
        String::new()
    };
    // SIGINT is Postgres's fast shutdown: it ends sessions and writes a checkpoint.
    let signal = match purpose {
        Purpose::Development => Signal::INT,
        Purpose::Tests => Signal::QUIT,
    };
    let mut command = guarded(binaries.join("postgres"), signal);
    command
        .arg("-D")
        .arg(data)
        .args(["-p", &port.to_string()])
        .args(settings(purpose).iter().flat_map(|setting| ["-c", setting]))
        .args(["-c", "listen_addresses=127.0.0.1"])
        .arg("-c")
        .arg(format!("unix_socket_directories={socket_directory}"))
        .current_dir(home);
    run_as(&mut command, account);
    let log = home.join("postgres.log");
    // The log of the last run only: what it says about a failed start must be about this start.
    let _absent = fs::remove_file(&log);
    let mut service = Service::start(
        "Postgres",
        command,
        Some(&log),
        signal,
        Duration::from_secs(30),
    )?;
    let id = service.id();
    service.wait_until(Duration::from_secs(120), || Ok(reports_ready(data, id)))?;
    Ok(service)
}

fn settings(purpose: Purpose) -> &'static [&'static str] {
    match purpose {
        Purpose::Development => &["max_connections=100"],
        Purpose::Tests => &[
            "max_connections=400",
            "fsync=off",
            "full_page_writes=off",
            "max_wal_size=4GB",
            "checkpoint_timeout=1h",
            "autovacuum_naptime=1h",
            "jit=off",
        ],
    }
}

/// Postgres writes `ready` into the eighth line of its pid file, which is how pg_ctl waits too.
fn reports_ready(data: &Path, id: u32) -> bool {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else {
        return false;
    };
    let mut lines = text.lines();
    lines
        .next()
        .is_some_and(|line| line.trim() == id.to_string())
        && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}

fn check_version(binaries: &Path, data: &Path) -> Result<()> {
    let made_by = fs::read_to_string(data.join("PG_VERSION"))?;
    let found = major_version(binaries).to_string();
    if made_by.trim() != found {
        bail!(
            "the cluster in {} was made by Postgres {} and this machine has {found}: run again with --fresh to start anew, or install Postgres {}",
            data.display(),
            made_by.trim(),
            made_by.trim()
        );
    }
    Ok(())
}

/// Ends a Postgres that an earlier, killed run left behind on this cluster.
pub(crate) fn end_orphan(data: &Path) {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else {
        return;
    };
    let mark = data.to_string_lossy();
    let Some(id) = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok())
    else {
        return;
    };
    for signal in [Signal::INT, Signal::QUIT, Signal::KILL] {
        if !is_alive(id, &mark) {
            return;
        }
        signal_process(id, signal);
        // Ten seconds for each way of asking.
        for _glance in 0..200 {
            if !is_alive(id, &mark) {
                return;
            }
            pause();
        }
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let _absent = fs::remove_file(path);
    fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_ready_and_ours() {
        let data = tempfile::tempdir().unwrap();
        let pid_file = data.path().join("postmaster.pid");
        assert!(!reports_ready(data.path(), 42));
        fs::write(
            &pid_file,
            "42\n/d\n1\n5432\n/s\n127.0.0.1\n  1 2\nstarting\n",
        )
        .unwrap();
        assert!(!reports_ready(data.path(), 42));
        fs::write(
            &pid_file,
            "42\n/d\n1\n5432\n/s\n127.0.0.1\n  1 2\nready   \n",
        )
        .unwrap();
        assert!(reports_ready(data.path(), 42));
        assert!(!reports_ready(data.path(), 43));
    }

    #[test]
    fn an_orphan_that_is_somebody_else_is_left_alone() {
        let data = tempfile::tempdir().unwrap();
        let me = std::process::id();
        fs::write(data.path().join("postmaster.pid"), format!("{me}\n")).unwrap();
        end_orphan(data.path());
        assert!(is_alive(me, ""));
    }
}
