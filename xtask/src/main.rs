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

mod bench;
mod ci;
mod codegen;
mod db;
mod dev;
mod http;
mod interrupt;
mod nextest;
mod process;
mod project;
mod report;
mod servers;
mod stack;
mod test;
mod tidy;
mod upstream;

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
    /// Run Mainstay with everything it needs on this machine until Ctrl-C
    Dev(dev::DevArgs),
    /// Run the tests against private Postgres and Redis servers
    Test(test::TestArgs),
    /// Private databases by hand
    #[command(subcommand)]
    Db(db::DbTask),
    /// Check the rules of the architecture
    Tidy,
    /// Write the files that the server generates
    Codegen {
        /// Only fail when a file is out of date
        #[arg(long)]
        check: bool,
    },
    /// Everything that must hold: format, tidy, clippy, documentation, tests
    Ci,
    /// Measure, and write the page under docs/benchmarks
    #[command(subcommand)]
    Bench(bench::BenchTask),
    /// Run the scripted AI upstream
    Upstream(upstream::UpstreamArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = interrupt::watch().and_then(|()| execute(&cli.command));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<interrupt::Interrupted>() => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {}", with_remedy(&format!("{error:#}")));
            let code = error
                .downcast_ref::<report::Failed>()
                .map_or(1, report::Failed::code);
            ExitCode::from(code)
        }
    }
}

/// A full disk shows itself in many places, here it gets its remedy.
fn with_remedy(message: &str) -> String {
    if message.contains("No space left on device") && !message.contains("free some space") {
        return format!("{message}: the disk is full; free some space and run the command again");
    }
    message.to_owned()
}

fn execute(task: &Task) -> Result<()> {
    match task {
        Task::Dev(args) => dev::dev(args),
        Task::Test(args) => test::test(args),
        Task::Db(task) => db::db(task),
        Task::Tidy => tidy::tidy(),
        Task::Codegen { check } => codegen::codegen(*check),
        Task::Ci => ci::ci(),
        Task::Bench(task) => bench::bench(task),
        Task::Upstream(args) => upstream::upstream(args),
    }
}
