//! `cargo xtask ci`: everything that must hold before a change is good, with timings.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::process::{capture, run_ok};
use crate::project;
use crate::report::{Failed, step};
use crate::test::{TestArgs, cargo, test};
use crate::{codegen, tidy};

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
    .and_then(|()| check("licences and sources", &mut || deny(&root)))
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
    .and_then(|()| check("tests", &mut || test(&TestArgs::default())))
    // After the tests, which have built the binary that prints the files.
    .and_then(|()| check("generated files", &mut || codegen::codegen(true)));
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

/// Runs cargo-deny where it is installed. What it checks offline changes only
/// with the dependencies, and building it takes minutes, so its absence is said and not fatal.
fn deny(root: &std::path::Path) -> Result<()> {
    if capture(Command::new("cargo-deny").arg("--version")).is_err() {
        eprintln!("    skipped: cargo-deny is not installed (`cargo install --locked cargo-deny`)");
        return Ok(());
    }
    run_ok(
        Command::new("cargo-deny")
            .args(["--all-features", "check", "bans", "licenses", "sources"])
            .current_dir(root),
    )
}
