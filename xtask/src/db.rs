//! `cargo xtask db`: the private databases by hand.

use anyhow::Result;
use clap::Subcommand;

use crate::interrupt;
use crate::process::pause;
use crate::project::Project;
use crate::test::TestServers;

/// What to do with the databases.
#[derive(Subcommand, Debug)]
pub(crate) enum DbTask {
    /// Run the servers that tests need until Ctrl-C and print the variables for another terminal
    Start,
}

/// Carries out one task.
pub(crate) fn db(task: &DbTask) -> Result<()> {
    match task {
        DbTask::Start => start(),
    }
}

fn start() -> Result<()> {
    let project = Project::open()?;
    let mut servers = TestServers::start(&project)?;
    for (name, value) in servers.variables() {
        println!("export {name}='{value}'");
    }
    eprintln!("running until Ctrl-C; paste the lines above where you call `cargo nextest run`");
    loop {
        interrupt::check()?;
        servers.check()?;
        pause();
    }
}
