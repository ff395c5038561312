//! `cargo xtask dev`: everything a developer needs, in the foreground, on loopback.

mod config;
mod credentials;
mod http;

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::interrupt;
use crate::process::{Service, Signal, capture, guarded, pause, run_ok};
use crate::project::{Project, ensure_directory};
use crate::report::step;
use crate::servers::postgres::Purpose;
use crate::servers::{Binaries, Postgres, Redis};
use crate::test::cargo;
use crate::upstream::Upstream;
use credentials::Credentials;

/// The database that the development server uses.
const DATABASE: &str = "mainstay";

/// Longer than the server's own drain time, which is 25 s.
const DRAIN: Duration = Duration::from_secs(35);

/// How to run.
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    /// The port on 127.0.0.1
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Throw away the state of earlier runs and start anew
    #[arg(long)]
    fresh: bool,
    /// Build with optimisations
    #[arg(long)]
    release: bool,
    /// Let a scripted AI on loopback answer instead of a real provider
    #[arg(long)]
    scripted_ai: bool,
}

/// Runs everything until Ctrl-C.
pub(crate) fn dev(args: &DevArgs) -> Result<()> {
    let project = Project::open()?;
    check_port(args.port)?;
    let mut stack = Stack::start(&project, args)?;
    stack.greet(args.port);
    loop {
        interrupt::check().inspect_err(|_| eprintln!("stopping"))?;
        stack.check()?;
        pause();
    }
}

/// All that runs; dropped from the top down, so the server drains while its stores still answer.
struct Stack {
    server: Service,
    _upstream: Option<Upstream>,
    redis: Redis,
    postgres: Postgres,
    credentials: Credentials,
    places: Places,
}

impl Stack {
    fn start(project: &Project, args: &DevArgs) -> Result<Self> {
        let places = Places::open(project, args.fresh)?;
        project.check_space()?;
        let binaries = step("find Postgres and Redis", || Binaries::ready(project))?;
        let program = step("build the server", || build(project, args.release))?;
        let upstream = match args.scripted_ai {
            true => Some(Upstream::start(
                project,
                &places.state.join("upstream.log"),
            )?),
            false => None,
        };
        let postgres = step("start Postgres", || places.postgres(project, &binaries))?;
        let redis = step("start Redis", || places.redis(project, &binaries))?;
        let settings = places.state.join("mainstay.toml");
        config::write(
            &settings,
            &config::Values {
                port: args.port,
                state: &places.state,
                database: &postgres.url(DATABASE),
                redis: &redis.url(),
            },
        )?;
        let mainstay = |subcommand: &str| {
            let mut command = Command::new(&program);
            command.arg(subcommand).arg("--config").arg(&settings);
            command.current_dir(&project.root);
            command
        };
        step("migrate", || capture(&mut mainstay("migrate")))?;
        let credentials = step("seed", || {
            Credentials::load_or_seed(&places.state, || capture(&mut mainstay("seed")))
        })?;
        let server = step("start the server", || {
            let variables = upstream.as_ref().map(Upstream::variables);
            let mut command = guarded(&program, Signal::TERM);
            command.args(["serve", "--config"]).arg(&settings);
            command.current_dir(&project.root);
            command.envs(variables.into_iter().flatten());
            serve(command, &places.state, args.port)
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

    /// The ready line and what a newcomer needs next.
    fn greet(&self, port: u16) {
        let address = format!("http://127.0.0.1:{port}");
        println!("mainstay ready {address}");
        println!("  e-mail    {}", self.credentials.email);
        println!("  password  {}", self.credentials.password);
        println!("  docs      {address}/docs");
        println!(
            "  log       {}",
            self.places.state.join("server.log").display()
        );
        if !provider_configured() && self._upstream.is_none() {
            println!(
                "  AI        no provider configured: answers come from cache and knowledge; \
                 set ANTHROPIC_API_KEY or OPENAI_API_KEY, or run with --scripted-ai"
            );
        }
        println!("Ask something (Ctrl-C here stops everything):\n");
        println!("{}", self.credentials.curl(&address));
    }

    /// Fails when a part has ended by itself.
    fn check(&mut self) -> Result<()> {
        let ended = [
            ("the server", "server.log", self.server.ended()?),
            ("Postgres", "postgres/postgres.log", self.postgres.ended()?),
            ("Redis", "redis/redis.log", self.redis.ended()?),
        ];
        for (name, log, status) in ended {
            if let Some(status) = status {
                bail!(
                    "{name} ended by itself ({status}); see {} in {}",
                    log,
                    self.places.state.display()
                );
            }
        }
        Ok(())
    }
}

/// Where the development state lies.
struct Places {
    /// Configuration, keys, logs and cache: `.mainstay/dev`.
    state: PathBuf,
    /// The servers' data: the same, unless another user could not get there.
    servers: PathBuf,
    /// Held while we run; the kernel lets go of it even when we are killed.
    _lock: File,
}

impl Places {
    fn open(project: &Project, fresh: bool) -> Result<Self> {
        let home = project.root.join(".mainstay");
        ensure_directory(&home)?;
        let lock = File::create(home.join("dev.lock"))
            .with_context(|| format!("cannot write into {}", home.display()))?;
        if lock.try_lock().is_err() {
            bail!("another `cargo xtask dev` runs in this checkout: stop it first, or use it");
        }
        let state = home.join("dev");
        let servers = project.state.join("dev");
        for directory in [&state, &servers] {
            if fresh && directory.exists() {
                crate::servers::end_orphans(directory);
                fs::remove_dir_all(directory)
                    .with_context(|| format!("cannot remove {}", directory.display()))?;
            }
            ensure_directory(directory)?;
        }
        Ok(Self {
            state,
            servers,
            _lock: lock,
        })
    }

    fn postgres(&self, project: &Project, binaries: &Binaries) -> Result<Postgres> {
        let postgres = Postgres::start(
            &binaries.postgres,
            &self.servers.join("postgres"),
            project.account.as_ref(),
            Purpose::Development,
        )?;
        postgres.ensure_database(DATABASE)?;
        Ok(postgres)
    }

    fn redis(&self, project: &Project, binaries: &Binaries) -> Result<Redis> {
        Redis::start(
            &binaries.redis,
            &self.servers.join("redis"),
            project.account.as_ref(),
            Purpose::Development,
        )
    }
}

/// Builds the server and says where it is.
pub(crate) fn build(project: &Project, release: bool) -> Result<PathBuf> {
    let mut command = cargo(&project.root);
    command.args(["build", "--package", "mainstay-server", "--bin", "mainstay"]);
    if release {
        command.arg("--release");
    }
    run_ok(&mut command)?;
    let profile = if release { "release" } else { "debug" };
    let target = crate::project::metadata(&project.root)?.target_directory;
    Ok(target.join(profile).join("mainstay").into_std_path_buf())
}

/// Starts the server and waits until it is ready.
pub(crate) fn serve(command: Command, state: &Path, port: u16) -> Result<Service> {
    let log = state.join("server.log");
    let _absent = fs::remove_file(&log);
    let mut server = Service::start("the server", command, Some(&log), Signal::TERM, DRAIN)?;
    server.wait_until(Duration::from_secs(120), || Ok(http::is_ready(port)))?;
    Ok(server)
}

fn check_port(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "port {port} is taken: stop what listens there, or choose another with `cargo xtask dev --port {}`",
            port.checked_add(1).unwrap_or(8000)
        ),
        Err(error) => Err(error).with_context(|| {
            format!("cannot listen on 127.0.0.1:{port}; choose another port with --port")
        }),
    }
}

fn provider_configured() -> bool {
    ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_the_remedy() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check_port(port).unwrap_err().to_string();
        assert!(error.contains("--port"), "{error}");
        assert!(error.contains(&port.to_string()), "{error}");
    }
}
