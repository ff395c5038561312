//! The test runner: cargo-nextest, installed when missing, `cargo test` when that fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::{capture, run};
use crate::project::Project;
use crate::report::step;
use crate::test::cargo;

/// How the tests are run.
pub(crate) enum Runner {
    /// cargo-nextest: a process per test, with time limits.
    Nextest(PathBuf),
    /// Plain `cargo test`: the same tests, one binary after the other.
    CargoTest,
}

/// Finds cargo-nextest on PATH or among our tools, installs it there when it is missing.
pub(crate) fn find_or_install(project: &Project) -> Result<Runner> {
    let ours = project.root.join(".mainstay/tools/bin/cargo-nextest");
    for program in [PathBuf::from("cargo-nextest"), ours.clone()] {
        if answers(&program) {
            return Ok(Runner::Nextest(program));
        }
    }
    let installed = step("install cargo-nextest into .mainstay/tools", || {
        install(&project.root, "cargo-nextest")
    })?;
    if installed && answers(&ours) {
        return Ok(Runner::Nextest(ours));
    }
    eprintln!("cargo-nextest could not be installed: the tests run with `cargo test` instead");
    Ok(Runner::CargoTest)
}

/// Installs a cargo tool among our own; `false` when cargo could not.
pub(crate) fn install(root: &Path, package: &str) -> Result<bool> {
    let mut command = cargo(root);
    command
        .args(["install", "--locked", "--quiet", package, "--root"])
        .arg(root.join(".mainstay/tools"));
    Ok(run(&mut command)?.success())
}

fn answers(program: &Path) -> bool {
    capture(Command::new(program).args(["nextest", "--version"])).is_ok()
}

impl Runner {
    /// The command that runs tests in the workspace.
    pub(crate) fn command(&self, root: &Path) -> Command {
        match self {
            Self::Nextest(program) => {
                let mut command = Command::new(program);
                command.args(["nextest", "run"]).current_dir(root);
                command
            }
            Self::CargoTest => {
                let mut command = cargo(root);
                command.args(["test", "--no-fail-fast"]);
                command
            }
        }
    }

    /// The profile with longer limits, for the long variants.
    pub(crate) fn profile(&self, long: bool) -> &'static [&'static str] {
        match self {
            Self::Nextest(_) if long => &["--profile", "long"],
            _ => &[],
        }
    }

    /// Name filters in the runner's own spelling.
    pub(crate) fn filter(&self, names: &[String]) -> Vec<String> {
        match self {
            Self::Nextest(_) => names.to_vec(),
            Self::CargoTest if names.is_empty() => Vec::new(),
            Self::CargoTest => std::iter::once("--".to_owned())
                .chain(names.iter().cloned())
                .collect(),
        }
    }
}
