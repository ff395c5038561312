//! `cargo xtask test`: every test of the workspace against private servers of its own.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::nextest;
use crate::process::run;
use crate::project::{Project, ensure_directory, metadata};
use crate::report::{Failed, step};
use crate::servers::account::give;
use crate::servers::postgres::Purpose;
use crate::servers::{Binaries, Postgres, Redis, end_orphans};

/// What to test.
#[derive(Args, Debug, Default)]
pub(crate) struct TestArgs {
    /// Run only tests whose name contains one of these
    filter: Vec<String>,
    /// Test only this package (may be repeated); documentation tests included
    #[arg(short, long, value_name = "PACKAGE")]
    package: Vec<String>,
    /// Run the long variants too: sets MAINSTAY_TEST_LONG=1 for the tests
    #[arg(long)]
    long: bool,
    /// Further arguments for `cargo nextest run`
    #[arg(last = true)]
    nextest: Vec<String>,
}

/// Starts the servers, runs the tests and tears the servers down.
pub(crate) fn test(args: &TestArgs) -> Result<()> {
    let project = Project::open()?;
    let runner = nextest::find_or_install(&project)?;
    let servers = step("start private Postgres and Redis", || {
        TestServers::start(&project)
    })?;
    let mut variables = servers.variables();
    if args.long {
        variables.push(("MAINSTAY_TEST_LONG", "1".to_owned()));
    }
    variables.push(("MAINSTAY_TEST_UPSTREAM_BIN", upstream_program(&project)?));
    let mut tests = runner.command(&project.root);
    tests
        .args(scope(&args.package))
        // Cargo's default targets: all but benchmarks, which clippy compiles and `bench` runs.
        .arg("--all-features")
        .args(runner.profile(args.long))
        .args(&args.nextest)
        .args(runner.filter(&args.filter))
        .envs(variables.iter().cloned());
    let outcome = step("tests", || Ok(run(&mut tests)?.code().unwrap_or(1)))?;
    let whole = args.filter.is_empty() && args.nextest.is_empty();
    let documented = if whole && has_library(&args.package) {
        let mut doctests = cargo(&project.root);
        doctests
            .args(["test", "--doc", "--all-features", "--quiet"])
            .args(scope(&args.package))
            .envs(variables);
        step("documentation tests", || {
            Ok(run(&mut doctests)?.code().unwrap_or(1))
        })?
    } else {
        0
    };
    drop(servers);
    match (outcome, documented) {
        (0, 0) => Ok(()),
        (0, code) => Err(Failed::new("documentation tests failed", code).into()),
        (code, _) => Err(Failed::new("tests failed", code).into()),
    }
}

fn scope(packages: &[String]) -> Vec<String> {
    if packages.is_empty() {
        return vec!["--workspace".to_owned()];
    }
    packages
        .iter()
        .flat_map(|package| {
            // `--package redis` is enough for a crate of ours.
            let ours = crate_name(package);
            ["--package".to_owned(), ours]
        })
        .collect()
}

/// Whether there is a library whose documentation could hold tests; cargo fails when there is none.
fn has_library(packages: &[String]) -> bool {
    packages.is_empty() || packages.iter().any(|package| package != "xtask")
}

fn crate_name(package: &str) -> String {
    if package == "xtask" || package.starts_with("mainstay-") {
        package.to_owned()
    } else {
        format!("mainstay-{package}")
    }
}

/// Where cargo puts the scripted AI upstream. Building the tests of the
/// testkit builds it too; tests of other crates start it as a library.
fn upstream_program(project: &Project) -> Result<String> {
    let target = metadata(&project.root)?.target_directory;
    Ok(target.join("debug/mainstay-upstream").into_string())
}

/// Cargo itself, in the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// The servers of one test run, in a directory of their own so that runs side by side do not meet.
pub(crate) struct TestServers {
    // Dropped in this order: servers first, then their files, then the lock.
    postgres: Postgres,
    redis: Redis,
    binaries: Binaries,
    directory: RunDirectory,
    run_as: Option<String>,
}

impl TestServers {
    /// Finds or installs the programs, sweeps what killed runs left and starts both servers.
    pub(crate) fn start(project: &Project) -> Result<Self> {
        project.check_space()?;
        let binaries = Binaries::ready(project)?;
        let account = project.account.as_ref();
        let directory = RunDirectory::create(&project.place("test")?)?;
        give(&directory.instances(), account)?;
        let postgres = Postgres::start(
            &binaries.postgres,
            &directory.path.join("postgres"),
            account,
            Purpose::Tests,
        )?;
        let redis = Redis::start(
            &binaries.redis,
            &directory.path.join("redis"),
            account,
            Purpose::Tests,
        )?;
        Ok(Self {
            postgres,
            redis,
            binaries,
            directory,
            run_as: account.map(|account| format!("{}:{}", account.uid, account.gid)),
        })
    }

    /// What the tests need to know, as environment variables.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut variables = vec![
            ("MAINSTAY_TEST_POSTGRES_URL", self.postgres.url("postgres")),
            ("MAINSTAY_TEST_REDIS_URL", self.redis.url()),
            ("MAINSTAY_TEST_PG_BIN", text(self.postgres.binaries())),
            ("MAINSTAY_TEST_REDIS_BIN", text(&self.binaries.redis)),
            ("MAINSTAY_TEST_DIR", text(&self.directory.instances())),
        ];
        if let Some(account) = &self.run_as {
            variables.push(("MAINSTAY_TEST_RUN_AS", account.clone()));
        }
        variables
    }

    /// Fails when one of the servers has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        for (name, ended) in [
            ("Postgres", self.postgres.ended()?),
            ("Redis", self.redis.ended()?),
        ] {
            if let Some(status) = ended {
                anyhow::bail!("the private {name} ended by itself ({status})");
            }
        }
        Ok(())
    }
}

/// A locked directory that is removed with everything that still runs in it.
struct RunDirectory {
    path: PathBuf,
    /// Held for as long as the run lasts; the kernel lets go of it even when we are killed.
    _lock: File,
}

impl RunDirectory {
    fn create(parent: &Path) -> Result<Self> {
        sweep(parent)?;
        let path = parent.join(format!("run-{}", std::process::id()));
        ensure_directory(&path)?;
        let lock = File::create(path.join("lock"))
            .with_context(|| format!("cannot write into {}", path.display()))?;
        lock.lock().context("cannot lock the run directory")?;
        ensure_directory(&path.join("instances"))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where tests put servers of their own.
    fn instances(&self) -> PathBuf {
        self.path.join("instances")
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        remove_run(&self.path);
    }
}

/// Removes the directories of runs that were killed.
fn sweep(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)?.flatten() {
        let path = entry.path();
        let Ok(lock) = File::open(path.join("lock")) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            remove_run(&path);
        }
    }
    Ok(())
}

/// Ends every server that still runs below `run` and removes the directory.
fn remove_run(run: &Path) {
    end_orphans(run);
    end_orphans(&run.join("instances"));
    if let Err(error) = fs::remove_dir_all(run) {
        eprintln!("cannot remove {}: {error}", run.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_progress_survives_the_sweep_and_a_killed_one_does_not() {
        let parent = tempfile::tempdir().unwrap();
        let killed = parent.path().join("run-1");
        fs::create_dir_all(killed.join("instances")).unwrap();
        File::create(killed.join("lock")).unwrap();
        let running = parent.path().join("run-2");
        fs::create_dir_all(&running).unwrap();
        let lock = File::create(running.join("lock")).unwrap();
        lock.lock().unwrap();

        sweep(parent.path()).unwrap();

        assert!(!killed.exists());
        assert!(running.exists());
    }

    #[test]
    fn short_package_names_are_ours() {
        assert_eq!(
            scope(&["cache".to_owned(), "xtask".to_owned()]),
            ["--package", "mainstay-cache", "--package", "xtask"]
        );
        assert_eq!(scope(&[]), ["--workspace"]);
    }
}
