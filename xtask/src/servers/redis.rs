//! A private Redis or Valkey on a loopback port, run as a direct child.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use super::account::{Account, give, run_as};
use super::postgres::{Purpose, write_private};
use super::random::{free_port, password};
use crate::process::{Service, Signal, guarded, is_alive, pause, signal_process};
use crate::project::{ensure_directory, make_private};

/// A running private Redis; stopped when dropped.
pub(crate) struct Redis {
    service: Service,
    port: u16,
    password: String,
}

impl Redis {
    /// Starts a server with its files under `home`.
    pub(crate) fn start(
        program: &Path,
        home: &Path,
        account: Option<&Account>,
        purpose: Purpose,
    ) -> Result<Self> {
        ensure_directory(home)?;
        make_private(home)?;
        give(home, account)?;
        end_orphan(home);
        let port = free_port()?;
        let password = password()?;
        // In a file and not on the command line, where every user could read the password.
        let settings = home.join("redis.conf");
        write_private(&settings, &configuration(home, port, &password, purpose)?)?;
        give(&settings, account)?;
        let mut command = guarded(program, Signal::TERM);
        command.arg(&settings).current_dir(home);
        run_as(&mut command, account);
        let log = home.join("redis.log");
        let _absent = fs::remove_file(&log);
        let mut service = Service::start(
            "Redis",
            command,
            Some(&log),
            Signal::TERM,
            Duration::from_secs(20),
        )?;
        service.wait_until(Duration::from_secs(60), || Ok(answers(port)))?;
        Ok(Self {
            service,
            port,
            password,
        })
    }

    /// Its address, password included.
    pub(crate) fn url(&self) -> String {
        format!("redis://default:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// The exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        self.service.ended()
    }
}

fn configuration(home: &Path, port: u16, password: &str, purpose: Purpose) -> Result<String> {
    let path = home.to_string_lossy();
    if path.contains(['"', '\\', '\n']) {
        bail!("Redis cannot keep its files in {path}: move the checkout to a path without quotes");
    }
    let persistence = match purpose {
        Purpose::Development => "appendonly yes",
        Purpose::Tests => "appendonly no",
    };
    Ok(format!(
        "port {port}\nbind 127.0.0.1\nrequirepass {password}\ndir \"{path}\"\n\
         pidfile \"{path}/redis.pid\"\nsave \"\"\n{persistence}\ndatabases 256\nmaxclients 4000\n"
    ))
}

/// Whether it answers commands: asking for the password is an answer, loading its file is not.
fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    let mut reply = [0; 64];
    let exchange = stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .and_then(|()| stream.write_all(b"PING\r\n"))
        .and_then(|()| stream.read(&mut reply));
    exchange.is_ok_and(|length| {
        let reply = &reply[..length];
        reply.starts_with(b"-NOAUTH") || reply.starts_with(b"+PONG")
    })
}

/// Ends a Redis that an earlier, killed run left behind in this directory.
pub(crate) fn end_orphan(home: &Path) {
    let Ok(text) = fs::read_to_string(home.join("redis.pid")) else {
        return;
    };
    let Ok(id) = text.trim().parse() else { return };
    for signal in [Signal::TERM, Signal::KILL] {
        for _glance in 0..100 {
            // Redis rewrites its title to `redis-server 127.0.0.1:<port>`, so its directory is what identifies it.
            if !is_alive(id, "-server") || !runs_in(id, home) {
                return;
            }
            signal_process(id, signal);
            pause();
        }
    }
}

fn runs_in(id: u32, home: &Path) -> bool {
    fs::read_link(format!("/proc/{id}/cwd"))
        .is_ok_and(|cwd| fs::canonicalize(home).is_ok_and(|home| home == cwd))
}
