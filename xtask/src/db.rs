//! `cargo xtask db`: the private databases by hand.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Subcommand;
use toml::{Table, Value};

use crate::interrupt;
use crate::process::pause;
use crate::project::{self, Project};
use crate::servers::Binaries;
use crate::test::TestServers;

/// What to do with the databases.
#[derive(Subcommand, Debug)]
pub(crate) enum DbTask {
    /// Run the servers that tests need until Ctrl-C and print the variables for another terminal
    Start,
    /// Print the address of the database of the running `cargo xtask dev`
    Url,
    /// Open psql on the database of the running `cargo xtask dev`
    Psql {
        /// Arguments for psql, for instance `-- -c '\dt'`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

/// Carries out one task.
pub(crate) fn db(task: &DbTask) -> Result<()> {
    match task {
        DbTask::Start => start(),
        DbTask::Url => {
            println!("{}", development_url()?);
            Ok(())
        }
        DbTask::Psql { arguments } => psql(arguments),
    }
}

fn start() -> Result<()> {
    let project = Project::open()?;
    let mut servers = TestServers::start(&project)?;
    for (name, value) in servers.variables() {
        println!("export {name}='{value}'");
    }
    eprintln!("running until Ctrl-C; paste the lines above where you call `cargo nextest run`");
    while !interrupt::requested() {
        servers.check()?;
        pause();
    }
    Ok(())
}

/// Becomes psql, so that the terminal, Ctrl-C included, is psql's own.
fn psql(arguments: &[String]) -> Result<()> {
    let project = Project::open()?;
    let url = development_url()?;
    let program = Binaries::ready(&project)?.postgres.join("psql");
    let error = Command::new(&program).arg(url).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}

/// The address stands in the settings file that `dev` wrote at its last start.
fn development_url() -> Result<String> {
    let path = project::root()?.join(".mainstay/dev/mainstay.toml");
    let settings: Table = fs::read_to_string(&path)
        .context("there is no development database yet: run `cargo xtask dev` first")?
        .parse()
        .with_context(|| format!("{} is damaged", path.display()))?;
    settings
        .get("database")
        .and_then(|database| database.get("url"))
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("{} names no database", path.display()))
}
