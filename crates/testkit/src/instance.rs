//! One server process of one test: started, hurt and removed.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use crate::environment::{SetupError, directory, run_as};

/// How long a server may take to start or stop on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(10);

/// Below this the kernel gives no port to outgoing connections, so the port
/// stays ours while the server is down.
const EPHEMERAL: u16 = 32768;
const LOWEST: u16 = 10240;

/// A directory, a port and, while it runs, a process.
pub(crate) struct Instance {
    home: PathBuf,
    port: u16,
    owner: Option<(u32, u32)>,
    process: Mutex<Option<Child>>,
}

impl Instance {
    /// Makes a home directory for a server and chooses its port.
    pub(crate) fn new(kind: &str) -> Result<Self, SetupError> {
        let owner = run_as()?;
        let home = directory().join(format!("{kind}-{}", Uuid::now_v7().simple()));
        make_directory(&home, owner)?;
        Ok(Self {
            port: free_port()?,
            home,
            owner,
            process: Mutex::default(),
        })
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Writes a file that only the server's user can read.
    pub(crate) fn write_private(&self, name: &str, text: &str) -> Result<PathBuf, SetupError> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;

        let path = self.home.join(name);
        File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| give(&path, self.owner))
            .map_err(|error| SetupError::wrap("cannot write a server's file", error))?;
        Ok(path)
    }

    /// Runs a program of the server's to its end, as the server's user.
    pub(crate) fn run(&self, command: &mut Command) -> Result<(), SetupError> {
        self.prepare(command);
        let output = command
            .output()
            .map_err(|error| SetupError::wrap("cannot run a server's program", error))?;
        if output.status.success() {
            return Ok(());
        }
        Err(SetupError::new(format!(
            "{} failed: {}",
            command.get_program().to_string_lossy(),
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }

    /// Starts the server and waits until `ready` says so of its process id.
    pub(crate) fn launch(
        &self,
        mut command: Command,
        ready: impl Fn(u32) -> bool,
    ) -> Result<(), SetupError> {
        let log = self.home.join("log");
        let file = File::create(&log)
            .map_err(|error| SetupError::wrap("cannot write a server's log", error))?;
        let second = file
            .try_clone()
            .map_err(|error| SetupError::wrap("cannot write a server's log", error))?;
        self.prepare(&mut command);
        let child = command
            .stdout(file)
            .stderr(second)
            .spawn()
            .map_err(|error| SetupError::wrap("cannot start a server", error))?;
        let id = child.id();
        *self.lock() = Some(child);
        let mut ended = false;
        let up = wait_for(|| {
            ended = self.has_ended();
            ended || ready(id)
        });
        if up && !ended {
            return Ok(());
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        self.kill();
        Err(SetupError::new(format!(
            "a private server did not start: {}",
            said.trim()
        )))
    }

    /// Asks the server to end with `signal` and waits; kills it when it takes too long.
    pub(crate) fn stop(&self, signal: Signal) {
        if let Some(id) = self.id() {
            self.thaw();
            send(id, signal);
            if !wait_for(|| self.has_ended()) {
                self.kill();
            }
        }
        *self.lock() = None;
    }

    /// Kills the server and all its children at once, as losing the machine would.
    pub(crate) fn kill(&self) {
        let Some(mut child) = self.lock().take() else {
            return;
        };
        // A stopped parent cannot start another child behind our back.
        send(child.id(), Signal::STOP);
        let children = children_of(child.id());
        send(child.id(), Signal::KILL);
        for id in &children {
            send(*id, Signal::KILL);
        }
        let _reaped = child.wait();
        wait_for(|| children.iter().all(|id| !is_alive(*id)));
    }

    /// Stops the server and its children from running at all; connections stay open and unanswered.
    pub(crate) fn freeze(&self) {
        if let Some(id) = self.id() {
            send(id, Signal::STOP);
            for child in children_of(id) {
                send(child, Signal::STOP);
            }
        }
    }

    /// Lets a frozen server run on.
    pub(crate) fn thaw(&self) {
        if let Some(id) = self.id() {
            for child in children_of(id) {
                send(child, Signal::CONT);
            }
            send(id, Signal::CONT);
        }
    }

    /// Whether a server was started and not stopped or killed since.
    pub(crate) fn is_running(&self) -> bool {
        self.id().is_some() && !self.has_ended()
    }

    fn id(&self) -> Option<u32> {
        self.lock().as_ref().map(Child::id)
    }

    fn has_ended(&self) -> bool {
        self.lock()
            .as_mut()
            .is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    fn prepare(&self, command: &mut Command) {
        command.stdin(Stdio::null()).current_dir(&self.home);
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
        // What stays behind is swept by `cargo xtask test` at its end.
        let _swept_later = fs::remove_dir_all(&self.home);
    }
}

/// Runs blocking work from async code. Unlike a sleep on tokio's clock it
/// takes real time even in a test that paused the clock.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SetupError> + Send + 'static,
) -> Result<T, SetupError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| SetupError::wrap("a server's thread failed", error))?
}

fn make_directory(path: &Path, owner: Option<(u32, u32)>) -> Result<(), SetupError> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .and_then(|()| give(path, owner))
        .map_err(|error| SetupError::wrap(&format!("cannot create {}", path.display()), error))
}

fn give(path: &Path, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    owner.map_or(Ok(()), |(uid, gid)| chown(path, Some(uid), Some(gid)))
}

fn free_port() -> Result<u16, SetupError> {
    for _attempt in 0..100 {
        // The last bytes of a v7 are random, the first are the time.
        let [.., high, low] = Uuid::now_v7().into_bytes();
        let port = LOWEST + u16::from_be_bytes([high, low]) % (EPHEMERAL - LOWEST);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(SetupError::new("there is no free port on 127.0.0.1"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "waits for a real process, on a thread of its own, outside any clock of a test"
)]
fn wait_for(mut done: impl FnMut() -> bool) -> bool {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !done() {
        if std::time::Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(GLANCE);
    }
    true
}

fn send(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _gone = kill_process(pid, signal);
    }
}

/// The direct children of a process. Postgres puts each into a session of its
/// own, so signalling the process group would miss them.
fn children_of(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| state_of(*id).is_some_and(|(_, of)| of == parent))
        .collect()
}

/// Whether the process exists and is more than a zombie.
fn is_alive(id: u32) -> bool {
    state_of(id).is_some_and(|(state, _)| state != 'Z')
}

/// The state letter and the parent of a process.
fn state_of(id: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in parentheses and may itself contain any character.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some((state, parent))
}
