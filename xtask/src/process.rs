//! Child processes that never outlive this one.
//!
//! Every child gets its own process group, so a Ctrl-C in the terminal reaches
//! only xtask, which then stops its children in the right order. Where
//! `setpriv` exists (util-linux, so every Debian and Ubuntu) the kernel also
//! signals the child when xtask itself is killed outright.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

use crate::interrupt;

/// How often a waiting loop looks again.
const GLANCE: Duration = Duration::from_millis(50);

/// A command that the kernel signals with `signal` when this process dies.
pub(crate) fn guarded(program: impl AsRef<OsStr>, signal: Signal) -> Command {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    let available = *AVAILABLE.get_or_init(|| {
        Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if !available {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", name_of(signal), "--"])
        .arg(program);
    command
}

/// The signal's name as setpriv spells it; it knows no numbers.
fn name_of(signal: Signal) -> &'static str {
    match signal {
        Signal::INT => "INT",
        Signal::QUIT => "QUIT",
        Signal::KILL => "KILL",
        _ => "TERM",
    }
}

/// A long-running child: stopped with its own signal when dropped, killed when that takes too long.
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    log: Option<PathBuf>,
    signal: Signal,
    patience: Duration,
}

impl Service {
    /// Starts `command` in its own process group with stdin closed and its
    /// output appended to `log` (inherited when there is none). `signal` is
    /// what asks it to end, `patience` how long it may take over that.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        log: Option<&Path>,
        signal: Signal,
        patience: Duration,
    ) -> Result<Self> {
        if let Some(path) = log {
            let file = File::options()
                .create(true)
                .append(true)
                .open(path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            command.stdout(file.try_clone()?).stderr(file);
        }
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| {
                format!(
                    "cannot start {name} ({})",
                    command.get_program().to_string_lossy()
                )
            })?;
        Ok(Self {
            name,
            child,
            log: log.map(Path::to_owned),
            signal,
            patience,
        })
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until `ready` says so; fails when the process ends first, when
    /// `limit` passes or when a stop is requested.
    pub(crate) fn wait_until(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if ready()? {
                return Ok(());
            }
            interrupt::check()?;
            if let Some(status) = self.ended()? {
                bail!("{} ended at once ({status}): {}", self.name, self.explain());
            }
            if Instant::now() >= deadline {
                bail!(
                    "{} was not ready after {} s: {}",
                    self.name,
                    limit.as_secs(),
                    self.explain()
                );
            }
            pause();
        }
    }

    /// What the log says about a failure, with the remedy where we know one.
    fn explain(&self) -> String {
        let Some(path) = &self.log else {
            return "see its output above".to_owned();
        };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let tail = lines[lines.len().saturating_sub(5)..].join(" | ");
        format!("{tail} (whole log: {})", path.display())
    }

    /// Asks the process to end and waits for it, killing it after its patience.
    pub(crate) fn stop(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        signal_process(self.child.id(), self.signal);
        let deadline = Instant::now() + self.patience;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            pause();
        }
        eprintln!(
            "{} did not stop within {} s and is killed",
            self.name,
            self.patience.as_secs()
        );
        signal_group(self.child.id(), Signal::KILL);
        self.child.wait().ok()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a command to its end with stdin closed, passing a stop request on to it.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if interrupt::requested() {
            end_group(&mut child);
            return Err(interrupt::Interrupted.into());
        }
        pause();
    }
}

/// Runs a command that must succeed.
pub(crate) fn run_ok(command: &mut Command) -> Result<()> {
    let status = run(command)?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Runs a command that must succeed, quietly, and returns what it printed.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    // A Ctrl-C in the terminal reached the command as well; its failure is then no news.
    interrupt::check()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed ({}): {}",
            line(command),
            output.status,
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a long command that must succeed and returns its standard output;
/// what it says on standard error is shown as it comes.
pub(crate) fn capture_output(command: &mut Command) -> Result<String> {
    command.stderr(Stdio::inherit());
    capture(command)
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Signals one process; a process that is gone already is no error.
pub(crate) fn signal_process(id: u32, signal: Signal) {
    if let Some(pid) = pid(id) {
        let _gone = kill_process(pid, signal);
    }
}

/// Whether a process with this id exists and was started with `mark` on its command line.
pub(crate) fn is_alive(id: u32, mark: &str) -> bool {
    std::fs::read(format!("/proc/{id}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains(mark))
}

/// Sleeps for one glance; the only place in xtask that sleeps.
pub(crate) fn pause() {
    std::thread::sleep(GLANCE);
}

fn end_group(child: &mut Child) {
    signal_group(child.id(), Signal::INT);
    let deadline = Instant::now() + Duration::from_secs(15);
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        pause();
    }
    signal_group(child.id(), Signal::KILL);
    let _ended = child.wait();
}

fn signal_group(id: u32, signal: Signal) {
    if let Some(pid) = pid(id) {
        let _gone = kill_process_group(pid, signal);
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = guarded("sh", Signal::KILL);
        command.args(["-c", script]);
        command
    }

    fn start(script: &str, log: Option<&Path>, patience: Duration) -> Service {
        Service::start("it", shell(script), log, Signal::TERM, patience).unwrap()
    }

    #[test]
    fn a_dropped_service_is_gone() {
        let service = start("exec sleep 1000", None, Duration::from_secs(10));
        let id = service.id();
        assert!(is_alive(id, ""));
        drop(service);
        assert!(!is_alive(id, "sleep"));
    }

    #[test]
    fn a_service_that_will_not_stop_is_killed_after_its_patience() {
        let mut service = start(
            "trap '' TERM; while :; do sleep 1000; done",
            None,
            Duration::from_millis(200),
        );
        let status = service.stop().unwrap();
        assert!(!status.success());
    }

    #[test]
    fn a_service_that_ends_instead_of_getting_ready_says_why() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        let mut service = start(
            "echo 'the port is taken' >&2; exit 3",
            Some(&log),
            Duration::from_secs(10),
        );
        let error = service
            .wait_until(Duration::from_secs(30), || Ok(false))
            .unwrap_err()
            .to_string();
        assert!(error.contains("the port is taken"), "{error}");
    }

    #[test]
    fn a_failed_command_shows_what_it_said() {
        let error = capture(Command::new("sh").args(["-c", "echo no such place >&2; exit 1"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no such place"), "{error}");
    }
}
