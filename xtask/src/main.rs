//! `cargo xtask …`: the developer commands of Mainstay.
//!
//! It links no crate of the workspace, so it builds in seconds and works while
//! the rest does not compile.

#![allow(
    clippy::disallowed_methods,
    reason = "a tool that waits for real processes reads the real time, and the Clock is in a crate it must not link"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the terminal is this program's interface"
)]

mod db;
mod interrupt;
mod nextest;
mod process;
mod project;
mod report;
mod servers;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Developer commands of Mainstay
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the tests against private Postgres and Redis servers
    Test(test::TestArgs),
    /// Private databases by hand
    #[command(subcommand)]
    Db(db::DbTask),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = interrupt::watch().and_then(|()| execute(&cli.command));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<interrupt::Interrupted>() => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error:#}");
            let code = error
                .downcast_ref::<report::Failed>()
                .map_or(1, report::Failed::code);
            ExitCode::from(code)
        }
    }
}

fn execute(task: &Task) -> Result<()> {
    match task {
        Task::Test(args) => test::test(args),
        Task::Db(task) => db::db(task),
    }
}
