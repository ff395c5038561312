//! Settings of a connection, checked before anything is opened.

use std::{fmt, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// How to reach a server and how long to wait for it.
///
/// Durations are read in whole milliseconds from the fields ending in `_ms`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `redis://[[user:]password@]host[:port][/db]`, with `rediss` for TLS,
    /// `redis-sentinel` or `redis-cluster` for more than one node, or
    /// `redis+unix:///path`. It may hold a password and is never printed.
    pub url: SecretString,
    /// The longest that a command may take, waiting for a free slot included.
    /// Too short and a garbage collection of the server looks like an outage;
    /// too long and every caller waits that long when the server stalls.
    /// Default: 250 ms.
    #[serde(
        rename = "command_timeout_ms",
        with = "millis",
        default = "defaults::command_timeout"
    )]
    pub command_timeout: Duration,
    /// The longest that opening a connection may take. Default: 2 s.
    #[serde(
        rename = "connect_timeout_ms",
        with = "millis",
        default = "defaults::connect_timeout"
    )]
    pub connect_timeout: Duration,
    /// Commands that may be under way at once; the next one waits, within its
    /// own time limit. Default: 1,024.
    #[serde(default = "defaults::max_in_flight")]
    pub max_in_flight: usize,
    /// Commands in a row that must time out before the client stops calling
    /// the server for [`breaker_open`](Self::breaker_open). Default: 5.
    #[serde(default = "defaults::breaker_failures")]
    pub breaker_failures: u32,
    /// How long the server is left alone after that. Default: 5 s.
    #[serde(
        rename = "breaker_open_ms",
        with = "millis",
        default = "defaults::breaker_open"
    )]
    pub breaker_open: Duration,
    /// The first pause between two attempts to connect; it doubles up to
    /// [`reconnect_max`](Self::reconnect_max). Default: 50 ms.
    #[serde(
        rename = "reconnect_min_ms",
        with = "millis",
        default = "defaults::reconnect_min"
    )]
    pub reconnect_min: Duration,
    /// The longest pause between two attempts to connect. Default: 2 s.
    #[serde(
        rename = "reconnect_max_ms",
        with = "millis",
        default = "defaults::reconnect_max"
    )]
    pub reconnect_max: Duration,
}

mod defaults {
    use std::time::Duration;

    pub(super) fn command_timeout() -> Duration {
        Duration::from_millis(250)
    }
    pub(super) fn connect_timeout() -> Duration {
        Duration::from_secs(2)
    }
    pub(super) fn max_in_flight() -> usize {
        1024
    }
    pub(super) fn breaker_failures() -> u32 {
        5
    }
    pub(super) fn breaker_open() -> Duration {
        Duration::from_secs(5)
    }
    pub(super) fn reconnect_min() -> Duration {
        Duration::from_millis(50)
    }
    pub(super) fn reconnect_max() -> Duration {
        Duration::from_secs(2)
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

const SCHEMES: [&str; 14] = [
    "redis",
    "rediss",
    "redis-sentinel",
    "rediss-sentinel",
    "redis-cluster",
    "rediss-cluster",
    "redis+unix",
    "valkey",
    "valkeys",
    "valkey-sentinel",
    "valkeys-sentinel",
    "valkey-cluster",
    "valkeys-cluster",
    "valkey+unix",
];

impl Config {
    /// The defaults for the server at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            command_timeout: defaults::command_timeout(),
            connect_timeout: defaults::connect_timeout(),
            max_in_flight: defaults::max_in_flight(),
            breaker_failures: defaults::breaker_failures(),
            breaker_open: defaults::breaker_open(),
            reconnect_min: defaults::reconnect_min(),
            reconnect_max: defaults::reconnect_max(),
        }
    }

    /// Checks the settings without opening anything.
    ///
    /// # Errors
    /// The name of the first setting that makes no sense, and why.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.server().map(drop)?;
        let positive = [
            ("command_timeout_ms", self.command_timeout),
            ("connect_timeout_ms", self.connect_timeout),
            ("breaker_open_ms", self.breaker_open),
            ("reconnect_min_ms", self.reconnect_min),
        ];
        for (field, value) in positive {
            if value < Duration::from_millis(1) {
                return Err(ConfigError::new(field, "must be at least 1 ms"));
            }
        }
        if self.reconnect_max < self.reconnect_min {
            return Err(ConfigError::new(
                "reconnect_max_ms",
                "must not be below reconnect_min_ms",
            ));
        }
        if self.max_in_flight == 0 || self.max_in_flight > 1 << 20 {
            return Err(ConfigError::new(
                "max_in_flight",
                "must be between 1 and 1,048,576",
            ));
        }
        if self.breaker_failures == 0 {
            return Err(ConfigError::new("breaker_failures", "must be at least 1"));
        }
        Ok(())
    }

    /// The URL as the engine understands it.
    pub(crate) fn server(&self) -> Result<fred::types::config::Config, ConfigError> {
        // The engine takes any scheme for the plain one, so that a typing
        // error in `rediss` would send passwords in the clear.
        let scheme = self
            .url
            .expose_secret()
            .split("://")
            .next()
            .unwrap_or_default();
        if !SCHEMES.contains(&scheme) {
            return Err(ConfigError::new(
                "url",
                "must begin with redis://, rediss://, redis-sentinel://, redis-cluster:// or the like",
            ));
        }
        let mut server =
            fred::types::config::Config::from_url(self.url.expose_secret()).map_err(|_| {
                ConfigError::new("url", "is not a Redis URL, such as redis://127.0.0.1:6379")
            })?;
        // With the engine's fail_fast the first refused connection would end
        // the client for good; commands fail fast by their own option.
        server.fail_fast = false;
        Ok(server)
    }
}

/// A setting that makes no sense. It never contains the URL, which may hold a
/// password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    field: &'static str,
    reason: &'static str,
}

impl ConfigError {
    pub(crate) fn new(field: &'static str, reason: &'static str) -> Self {
        Self { field, reason }
    }

    /// The name of the setting.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What is wrong with it.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis {}: {}", self.field, self.reason)
    }
}

impl std::error::Error for ConfigError {}
