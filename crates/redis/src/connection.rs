//! The client: one connection that comes back by itself.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use fred::{
    clients::{Client, WithOptions},
    interfaces::ClientLike,
    types::{
        Builder, ClientState,
        config::{Options, ReconnectPolicy},
    },
};
use mainstay_resilience::{Deadline, SharedClock};
use tokio::sync::Semaphore;

use crate::{Config, ConfigError, Error, error::Kind, guard::StallBreaker};

/// A handle to a server. Clones share one connection.
///
/// Commands fail at once while there is no connection, and take no longer than
/// [`Config::command_timeout`] when there is one.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    clock: SharedClock,
    client: Client,
    commands: WithOptions<Client>,
    in_flight: Semaphore,
    breaker: StallBreaker,
    task: ConnectTask,
}

/// Whether the client has a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// There is a connection and the server answers.
    Connected,
    /// There is a connection, but the server stalled; it is being left alone.
    Stalled,
    /// There is no connection; the client keeps trying.
    Reconnecting,
    /// [`Redis::shutdown`] was called.
    Closed,
}

impl State {
    /// A stable lower-case word for metrics and health pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Stalled => "stalled",
            Self::Reconnecting => "reconnecting",
            Self::Closed => "closed",
        }
    }
}

impl Redis {
    /// A client for the server of `config`. It returns at once and connects in
    /// the background, for as long as a clone of it lives. Must be called
    /// within a tokio runtime, which the connection then lives on.
    ///
    /// # Errors
    /// A setting makes no sense. A server that is away is not an error.
    pub fn connect(config: Config, clock: SharedClock) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = builder(&config, config.command_timeout)?
            .build()
            .map_err(|_| ConfigError::new("url", "is not one that the client can use"))?;
        let task = ConnectTask::start(&client);
        let commands = client.with_options(&Options {
            // Without it commands wait for the connection to come back.
            fail_fast: true,
            max_attempts: Some(1),
            timeout: Some(config.command_timeout),
            ..Options::default()
        });
        Ok(Self {
            inner: Arc::new(Inner {
                in_flight: Semaphore::new(config.max_in_flight),
                breaker: StallBreaker::new(&config, &clock)?,
                config,
                clock,
                client,
                commands,
                task,
            }),
        })
    }

    /// Whether there is a connection.
    pub fn state(&self) -> State {
        if self.inner.in_flight.is_closed() {
            return State::Closed;
        }
        match self.inner.client.state() {
            ClientState::Connected if self.inner.breaker.is_open() => State::Stalled,
            ClientState::Connected => State::Connected,
            _ => State::Reconnecting,
        }
    }

    /// Whether a command has a chance now.
    pub fn is_available(&self) -> bool {
        self.state() == State::Connected
    }

    /// Waits until the server answers a ping, at most `limit`. For start-up
    /// messages and tests; a service should rather go on without the server.
    pub async fn wait_until_available(&self, limit: Duration) -> bool {
        let answered = async {
            while self.ping().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(limit, answered).await.is_ok()
    }

    /// The settings that this client was made with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Closes the connection and refuses every further command.
    pub async fn shutdown(&self) {
        self.inner.in_flight.close();
        // A server that does not answer must not hold up the shutdown.
        let limit = self.inner.config.command_timeout;
        if tokio::time::timeout(limit, self.inner.client.quit())
            .await
            .is_err()
        {
            tracing::debug!("the Redis connection did not close in time and is dropped");
        }
        self.inner.task.stop();
    }

    /// Runs one command within its bounds: a slot, the time limit, the breaker.
    pub(crate) async fn run<T, F, Fut>(&self, name: &'static str, command: F) -> Result<T, Error>
    where
        F: FnOnce(WithOptions<Client>) -> Fut,
        Fut: Future<Output = Result<T, fred::error::Error>>,
    {
        let inner = &*self.inner;
        if inner.in_flight.is_closed() {
            return Err(Error::new(name, Kind::Closed));
        }
        if !inner.client.is_connected() {
            return Err(Error::new(name, Kind::Disconnected));
        }
        let admitted = inner.breaker.admit(name)?;
        let result = self.bounded(name, command).await;
        admitted.settle(&result);
        result
    }

    async fn bounded<T, F, Fut>(&self, name: &'static str, command: F) -> Result<T, Error>
    where
        F: FnOnce(WithOptions<Client>) -> Fut,
        Fut: Future<Output = Result<T, fred::error::Error>>,
    {
        let inner = &*self.inner;
        let limit = inner.config.command_timeout;
        let deadline = Deadline::after(&*inner.clock, limit);
        let _slot = match tokio::time::timeout(limit, inner.in_flight.acquire()).await {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) => return Err(Error::new(name, Kind::Closed)),
            Err(_) => return Err(Error::new(name, Kind::Busy)),
        };
        // A slot that came free as the time ran out is for somebody else: a
        // command that nobody waits for must not be sent.
        let left = deadline.remaining(&*inner.clock);
        if left.is_zero() {
            return Err(Error::new(name, Kind::Busy));
        }
        match tokio::time::timeout(left, command(inner.commands.clone())).await {
            Ok(answer) => answer.map_err(|error| Error::from_engine(name, error)),
            Err(_) => Err(Error::new(name, Kind::Timeout)),
        }
    }

    /// A further connection to the same server, for what would block or change
    /// the shared one.
    pub(crate) fn builder(&self, silence: Duration) -> Result<Builder, ConfigError> {
        builder(&self.inner.config, silence)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// The engine's settings. `silence` is how long a healthy server may be silent
/// after a command.
fn builder(config: &Config, silence: Duration) -> Result<Builder, ConfigError> {
    let mut builder = Builder::from_config(config.server()?);
    builder.with_performance_config(|performance| {
        performance.default_command_timeout = silence;
        // The engine's receivers end silently when they fall behind; ours
        // notice, and a larger buffer makes it rare.
        performance.broadcast_channel_capacity = 4096;
    });
    builder.with_connection_config(|connection| {
        connection.connection_timeout = config.connect_timeout;
        connection.internal_command_timeout = config.connect_timeout;
        connection.max_command_attempts = 1;
        // max_command_buffer_len stays unlimited: once it overflows, the
        // engine never recovers. The semaphore bounds commands instead.
        connection.tcp.nodelay = Some(true);
        // A connection that is silent for so long while commands wait is
        // taken for dead and opened anew.
        connection.unresponsive.max_timeout =
            Some(silence.saturating_mul(4).max(Duration::from_secs(2)));
        connection.unresponsive.interval = Duration::from_millis(500);
    });
    let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    // Zero attempts means without end.
    builder.set_policy(ReconnectPolicy::new_exponential(
        0,
        millis(config.reconnect_min),
        millis(config.reconnect_max),
        2,
    ));
    Ok(builder)
}

/// The engine's task behind one connection, ended with its owner.
pub(crate) struct ConnectTask {
    abort: tokio::task::AbortHandle,
}

impl ConnectTask {
    pub(crate) fn start(client: &impl ClientLike) -> Self {
        Self {
            abort: client.connect().abort_handle(),
        }
    }

    pub(crate) fn stop(&self) {
        self.abort.abort();
    }
}

impl Drop for ConnectTask {
    fn drop(&mut self) {
        self.stop();
    }
}
