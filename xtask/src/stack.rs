//! Mainstay with everything it needs on this machine, as `dev` and the benchmarks run it.

mod credentials;
mod settings;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::http;
use crate::process::{Service, Signal, capture, guarded, run_ok};
use crate::project::{self, Project, ensure_directory};
use crate::report::step;
use crate::servers::account::{Account, keep_owner};
use crate::servers::postgres::Purpose;
use crate::servers::{Binaries, Postgres, Redis, end_orphans};
use crate::test::cargo;
use crate::upstream::Upstream;
pub(crate) use credentials::Credentials;

/// The database that the server uses.
const DATABASE: &str = "mainstay";

/// Longer than the server's own drain time, which is 25 s.
const DRAIN: Duration = Duration::from_secs(35);

/// How to run it.
pub(crate) struct Options {
    /// What it is for; names its directory and what the lock's message calls it.
    pub(crate) name: &'static str,
    /// The port on 127.0.0.1.
    pub(crate) port: u16,
    /// Whether the state of earlier runs is thrown away.
    pub(crate) fresh: bool,
    /// Whether the server is built with optimisations.
    pub(crate) release: bool,
    /// Whether a scripted AI answers instead of a real provider.
    pub(crate) scripted_ai: bool,
    /// Further environment variables of the server.
    pub(crate) variables: &'static [(&'static str, &'static str)],
}

/// All that runs; dropped from the top down, so the server drains while its stores still answer.
pub(crate) struct Stack {
    server: Service,
    _upstream: Option<Upstream>,
    redis: Redis,
    postgres: Postgres,
    credentials: Credentials,
    places: Places,
}

impl Stack {
    /// Builds, starts and prepares everything; returns when the server is ready.
    pub(crate) fn start(project: &Project, options: &Options) -> Result<Self> {
        let places = Places::open(project, options)?;
        project.check_space()?;
        let binaries = step("find Postgres and Redis", || Binaries::ready(project))?;
        let program = step("build the server", || build(project, options.release))?;
        let upstream = if options.scripted_ai {
            Some(Upstream::start(
                project,
                &places.state.join("upstream.log"),
            )?)
        } else {
            None
        };
        let postgres = step("start Postgres", || places.postgres(&binaries))?;
        let redis = step("start Redis", || places.redis(&binaries))?;
        let settings = places.state.join("mainstay.toml");
        settings::write(
            &settings,
            &settings::Values {
                port: options.port,
                state: &places.state,
                database: &postgres.url(DATABASE),
                redis: &redis.url(),
                scripted_ai: upstream.as_ref().map(Upstream::address),
            },
        )?;
        let mainstay = |subcommand: &str| {
            let mut command = guarded(&program, Signal::TERM);
            command.arg(subcommand).arg("--config").arg(&settings);
            command.current_dir(&project.root);
            command
        };
        step("migrate", || capture(&mut mainstay("migrate")))?;
        let credentials = step("seed", || {
            // It makes what is missing and prints what there is.
            Credentials::parse(&capture(&mut mainstay("seed"))?)
                .context("`mainstay seed` printed no credentials")
        })?;
        let mut command = mainstay("serve");
        command.envs(options.variables.iter().copied());
        let server = step("start the server", || {
            serve(command, &places.state, options.port)
        })?;
        Ok(Self {
            server,
            _upstream: upstream,
            redis,
            postgres,
            credentials,
            places,
        })
    }

    /// What to log in with.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Where the server's log is.
    pub(crate) fn log(&self) -> PathBuf {
        self.places.state.join("server.log")
    }

    /// The server's process id.
    pub(crate) fn server_id(&self) -> u32 {
        self.server.id()
    }

    /// Fails when a part has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        let ended = [
            ("the server", self.server.ended()?),
            ("Postgres", self.postgres.ended()?),
            ("Redis", self.redis.ended()?),
        ];
        for (name, status) in ended {
            if let Some(status) = status {
                bail!(
                    "{name} ended by itself ({status}); the logs are in {}",
                    self.places.state.display()
                );
            }
        }
        Ok(())
    }
}

/// Where the state lies.
struct Places {
    /// Configuration, keys, logs and cache: `.mainstay/<name>`.
    state: PathBuf,
    /// The servers' data: the same, unless another user could not get there.
    servers: PathBuf,
    /// The user that the servers run as, when we are root.
    account: Option<Account>,
    /// Held while we run; the kernel lets go of it even when we are killed.
    _lock: File,
}

impl Places {
    fn open(project: &Project, options: &Options) -> Result<Self> {
        let name = options.name;
        let home = project.root.join(".mainstay");
        ensure_directory(&home)?;
        let lock = File::create(home.join(format!("{name}.lock")))
            .with_context(|| format!("cannot write into {}", home.display()))?;
        if lock.try_lock().is_err() {
            bail!("another `cargo xtask {name}` runs in this checkout: stop it first, or use it");
        }
        let state = home.join(name);
        let servers = project.state.join(name);
        for directory in [&state, &servers] {
            if options.fresh && directory.exists() {
                end_orphans(directory);
                fs::remove_dir_all(directory)
                    .with_context(|| format!("cannot remove {}", directory.display()))?;
            }
            ensure_directory(directory)?;
        }
        let account = keep_owner(&servers.join("postgres/data"), project.account.as_ref());
        Ok(Self {
            state,
            servers,
            account,
            _lock: lock,
        })
    }

    fn postgres(&self, binaries: &Binaries) -> Result<Postgres> {
        let postgres = Postgres::start(
            &binaries.postgres,
            &self.servers.join("postgres"),
            self.account.as_ref(),
            Purpose::Development,
        )?;
        postgres.ensure_database(DATABASE)?;
        Ok(postgres)
    }

    fn redis(&self, binaries: &Binaries) -> Result<Redis> {
        Redis::start(
            &binaries.redis,
            &self.servers.join("redis"),
            self.account.as_ref(),
            Purpose::Development,
        )
    }
}

/// Builds the server and says where it is.
fn build(project: &Project, release: bool) -> Result<PathBuf> {
    let mut command = cargo(&project.root);
    command.args(["build", "--package", "mainstay-server", "--bin", "mainstay"]);
    if release {
        command.arg("--release");
    }
    run_ok(&mut command)?;
    let profile = if release { "release" } else { "debug" };
    let target = project::metadata(&project.root)?.target_directory;
    Ok(target.join(profile).join("mainstay").into_std_path_buf())
}

/// Starts the server and waits until it is ready.
fn serve(command: Command, state: &Path, port: u16) -> Result<Service> {
    let log = state.join("server.log");
    // The log of the last run only: what it says about a failed start must be about this start.
    let _absent = fs::remove_file(&log);
    let mut server = Service::start("the server", command, Some(&log), Signal::TERM, DRAIN)?;
    server.wait_until(Duration::from_secs(120), || Ok(http::is_ready(port)))?;
    Ok(server)
}
