//! A Redis of a test's own, and the one that all tests of a run share.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use uuid::Uuid;

use crate::environment::{SetupError, variable};
use crate::instance::{Instance, blocking};

/// The address of the Redis that the whole test run shares. Keys must carry a
/// prefix of the test's own, see [`unique_prefix`].
pub fn shared_url() -> Result<String, SetupError> {
    variable("MAINSTAY_TEST_REDIS_URL")
}

/// A key prefix that no other test uses, ending in a colon.
pub fn unique_prefix() -> String {
    format!("test-{}:", Uuid::now_v7().simple())
}

/// A private Redis on a loopback port that stays the same over restarts.
/// It starts in milliseconds; removed with its data when dropped.
#[derive(Clone)]
pub struct PrivateRedis {
    inner: Arc<Inner>,
}

struct Inner {
    instance: Instance,
    program: PathBuf,
    password: String,
    settings: Vec<(String, String)>,
}

impl PrivateRedis {
    /// Starts a server that keeps nothing over a restart.
    pub async fn start() -> Result<Self, SetupError> {
        Self::start_with(&[]).await
    }

    /// Starts a server with further settings, as in `redis.conf`: `("appendonly", "yes")`.
    pub async fn start_with(settings: &[(&str, &str)]) -> Result<Self, SetupError> {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        blocking(move || {
            let inner = Inner {
                program: PathBuf::from(variable("MAINSTAY_TEST_REDIS_BIN")?),
                instance: Instance::new("redis")?,
                password: Uuid::now_v7().simple().to_string(),
                settings,
            };
            inner.serve()?;
            Ok(Self {
                inner: Arc::new(inner),
            })
        })
        .await
    }

    /// Its address, password included.
    pub fn url(&self) -> String {
        format!(
            "redis://default:{}@127.0.0.1:{}",
            self.inner.password,
            self.port()
        )
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.inner.instance.port()
    }

    /// The password of the user `default`.
    pub fn password(&self) -> &str {
        &self.inner.password
    }

    /// Whether it was started and not stopped or killed since.
    pub fn is_running(&self) -> bool {
        self.inner.instance.is_running()
    }

    /// Shuts it down in order.
    pub async fn stop(&self) -> Result<(), SetupError> {
        self.off_thread(|inner| {
            inner.instance.stop(Signal::TERM);
            Ok(())
        })
        .await
    }

    /// Kills it without warning.
    pub async fn kill9(&self) -> Result<(), SetupError> {
        self.off_thread(|inner| {
            inner.instance.kill();
            Ok(())
        })
        .await
    }

    /// Stops it from running: connections stay open, nothing is answered.
    pub fn freeze(&self) {
        self.inner.instance.freeze();
    }

    /// Lets it run on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.inner.instance.thaw();
    }

    /// Starts it again on the same port, stopping it first if it runs.
    pub async fn restart(&self) -> Result<(), SetupError> {
        self.off_thread(|inner| {
            inner.instance.stop(Signal::TERM);
            inner.serve()
        })
        .await
    }

    async fn off_thread(
        &self,
        work: impl FnOnce(&Inner) -> Result<(), SetupError> + Send + 'static,
    ) -> Result<(), SetupError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || work(&inner)).await
    }
}

impl Inner {
    fn serve(&self) -> Result<(), SetupError> {
        let port = self.instance.port();
        let mut text = format!(
            "port {port}\nbind 127.0.0.1\nrequirepass {}\nsave \"\"\n",
            self.password
        );
        for (name, value) in &self.settings {
            let _infallible = writeln!(text, "{name} {value}");
        }
        let settings = self.instance.write_private("redis.conf", &text)?;
        let mut command = Command::new(&self.program);
        // Named on the command line, where it needs no quoting, and found there by the sweep of a killed run.
        command
            .arg(settings)
            .arg("--pidfile")
            .arg(self.instance.home().join("redis.pid"));
        self.instance.launch(command, |_| answers(port))
    }
}

/// Whether it answers commands: asking for the password is an answer, loading its file is not.
fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    let mut reply = [0; 64];
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .and_then(|()| stream.write_all(b"PING\r\n"))
        .and_then(|()| stream.read(&mut reply))
        .is_ok_and(|length| reply[..length].starts_with(b"-NOAUTH"))
}
