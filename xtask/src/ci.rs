//! `cargo xtask ci`: everything that must hold before a change is good, with timings.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::process::{capture, run_ok};
use crate::project;
use crate::report::{Failed, step};
use crate::test::{TestArgs, cargo, test};
use crate::tidy;

/// Runs every check in the order of what it costs, stopping at the first that fails.
pub(crate) fn ci() -> Result<()> {
    let root = project::root()?;
    let begun = Instant::now();
    let mut timings = Vec::new();
    let mut check = |name: &'static str, work: &mut dyn FnMut() -> Result<()>| {
        let begun = Instant::now();
        let outcome = step(name, work);
        timings.push((name, begun.elapsed()));
        outcome
    };
    let cargo = |arguments: &[&str]| {
        let mut command = cargo(&root);
        command.args(arguments);
        command
    };
    let outcome = check("format", &mut || {
        run_ok(&mut cargo(&["fmt", "--all", "--check"]))
    })
    .and_then(|()| check("tidy", &mut tidy::tidy))
    .and_then(|()| check("licences and sources", &mut || licences(&root)))
    .and_then(|()| check("alerts", &mut || alerts(&root)))
    .and_then(|()| {
        check("clippy", &mut || {
            run_ok(&mut cargo(&[
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--",
                "-D",
                "warnings",
            ]))
        })
    })
    .and_then(|()| {
        check("documentation", &mut || {
            run_ok(
                cargo(&["doc", "--workspace", "--no-deps", "--all-features"])
                    .env("RUSTDOCFLAGS", "-D warnings"),
            )
        })
    })
    .and_then(|()| check("tests", &mut || test(&TestArgs::default())));
    eprintln!("\ntimings:");
    for (name, took) in &timings {
        eprintln!("  {name:<22}{:>8.1} s", took.as_secs_f64());
    }
    eprintln!("  {:<22}{:>8.1} s", "all", begun.elapsed().as_secs_f64());
    match (outcome, timings.last()) {
        (Ok(()), _) => {
            eprintln!("all checks passed");
            Ok(())
        }
        (Err(error), Some((name, _))) if error.is::<Failed>() => {
            Err(Failed::new(format!("{name}: {error:#}"), 1).into())
        }
        (Err(error), _) => Err(error),
    }
}

/// Runs a check whose tool is not Rust's own. Getting the tool takes minutes
/// or another package manager, so its absence is said and is not fatal.
fn with_tool(root: &Path, tool: &str, source: &str, arguments: &[&str]) -> Result<()> {
    if capture(Command::new(tool).arg("--version")).is_err() {
        eprintln!("    skipped: {tool} is not installed ({source})");
        return Ok(());
    }
    run_ok(Command::new(tool).args(arguments).current_dir(root))
}

fn licences(root: &Path) -> Result<()> {
    with_tool(
        root,
        "cargo-deny",
        "`cargo install --locked cargo-deny`",
        &["--all-features", "check", "bans", "licenses", "sources"],
    )
}

fn alerts(root: &Path) -> Result<()> {
    with_tool(
        root,
        "promtool",
        "it comes with Prometheus",
        &["test", "rules", "deploy/prometheus/alerts_test.yml"],
    )
}
