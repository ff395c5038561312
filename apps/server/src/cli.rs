//! The command line: `mainstay serve|migrate|seed|openapi|config …`.

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use mainstay_resilience::system_clock;
use mainstay_server::{
    lifecycle::{Ending, Lifecycle},
    settings::{self, Settings, Sources},
    startup::{self, Server, StartError},
    telemetry,
};
use secrecy::ExposeSecret as _;
use std::{io::Write as _, path::PathBuf, process::ExitCode};
use tokio::runtime::Runtime;

/// The backend that an AI assistant stands on.
#[derive(Debug, Parser)]
#[command(name = "mainstay", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until it is told to stop.
    Serve(Serve),
    /// Bring the database's schema up to date, and end.
    Migrate(Migrate),
    /// Make the first administrator and a demo workspace, as far as they are
    /// missing, and print the credentials as JSON.
    Seed(Seed),
    /// Print the OpenAPI document.
    Openapi,
    /// Look at the settings.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Args)]
struct From {
    /// The settings file (TOML). Environment variables `MAINSTAY__SECTION__KEY` win over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one setting, such as `--set server.port=9000`; wins over file and environment.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    from: From,
    /// The port; short for `--set server.port=N`.
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Debug, Args)]
struct Migrate {
    #[command(flatten)]
    from: From,
    /// Only say what would be applied, and change nothing.
    #[arg(long)]
    plan: bool,
}

#[derive(Debug, Args)]
struct Seed {
    #[command(flatten)]
    from: From,
    /// The administrator's e-mail address.
    #[arg(long, default_value = "admin@mainstay.local")]
    email: String,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether the settings are right, and what is wrong.
    Check(From),
    /// Print the settings in force, with secrets masked.
    Show(From),
    /// Print the JSON Schema of the settings file.
    Schema,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it as section.key=value".to_owned())
}

/// Does what the command line says.
pub(crate) fn run() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Serve(serve) => {
            let mut settings = serve.from.load()?;
            if let Some(port) = serve.port {
                settings.server.port = port;
            }
            run_server(settings)
        }
        Command::Migrate(migration) => {
            let settings = migration.from.load()?;
            if migration.plan {
                plan(&settings)
            } else {
                migrate(&settings)
            }
        }
        Command::Seed(seed) => {
            let settings = seed.from.load()?;
            run_seed(&settings, &seed.email)
        }
        Command::Openapi => print(&mainstay_server::openapi_document()),
        Command::Config { command } => match command {
            ConfigCommand::Check(from) => {
                from.load()?;
                print("the settings are right\n")
            }
            ConfigCommand::Show(from) => {
                let shown = serde_json::to_value(from.load()?)?;
                print(&format!("{shown:#}\n"))
            }
            ConfigCommand::Schema => print(&format!("{:#}\n", Settings::schema().to_value())),
        },
    }
}

/// Tells on standard error why it ended, in one line.
#[expect(
    clippy::print_stderr,
    reason = "the one place where the process speaks outside its log"
)]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("mainstay: {error:#}");
}

fn print(text: &str) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

impl From {
    fn load(&self) -> Result<Settings> {
        let file = match &self.config {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the settings file {}", path.display()))?;
                Some((path.display().to_string(), text))
            }
            None => None,
        };
        let sources = Sources {
            file,
            environment: std::env::vars_os()
                .filter_map(|(key, value)| {
                    Some((key.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            flags: self.set.clone(),
        };
        Ok(settings::load(&sources)?)
    }
}

/// Runs work that ends by itself. It logs nothing: what is printed is for
/// programs, and what fails is its outcome.
fn briefly<T>(work: impl Future<Output = Result<T, StartError>>) -> Result<T> {
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(done?)
}

fn migrate(settings: &Settings) -> Result<ExitCode> {
    install_tls()?;
    briefly(startup::migrate(settings, system_clock()))?;
    print("the schema is up to date\n")
}

fn plan(settings: &Settings) -> Result<ExitCode> {
    install_tls()?;
    let pending = briefly(startup::migration_plan(settings, system_clock()))?;
    if pending.is_empty() {
        return print("nothing to apply; the schema is up to date\n");
    }
    let lines: Vec<String> = pending
        .iter()
        .map(|(version, name)| format!("V{version} {name}\n"))
        .collect();
    print(&lines.concat())
}

fn run_seed(settings: &Settings, email: &str) -> Result<ExitCode> {
    install_tls()?;
    let seeded = briefly(startup::seed(settings, email, system_clock()))?;
    let printed = serde_json::json!({
        "email": seeded.email.as_str(),
        "password": seeded.password.expose_secret(),
        "user_id": seeded.user_id,
        "workspace_id": seeded.workspace_id,
        "personas_made": seeded.personas,
        "documents_added": seeded.documents,
    });
    print(&format!("{printed}\n"))
}

fn install_tls() -> Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider was already installed"))
}

fn run_server(settings: Settings) -> Result<ExitCode> {
    // Flushed on both paths, since the reason of a failed start is the line
    // that somebody will look for.
    let telemetry = telemetry::start(&settings.telemetry)?;
    let outcome = serve(settings);
    if let Err(error) = &outcome {
        tracing::error!(
            critical = true,
            error = format!("{error:#}"),
            "the server could not run"
        );
    }
    drop(telemetry);
    outcome
}

fn serve(settings: Settings) -> Result<ExitCode> {
    install_tls()?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let ending = runtime.block_on(async {
        let lifecycle = Lifecycle::new(runtime.handle().clone());
        lifecycle
            .listen_for_signals()
            .context("cannot listen for signals")?;
        let running = Server::start(settings, lifecycle, system_clock()).await?;
        tracing::info!(address = %running.address(), "listening");
        anyhow::Ok(running.until_stopped().await)
    })?;
    // Blocking work that hangs must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(match ending {
        Ending::Drained => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Ending::Cut { unfinished } => {
            tracing::warn!(unfinished, "stopped before everything had finished");
            ExitCode::FAILURE
        }
    })
}
