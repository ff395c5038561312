//! `[server]`: where it listens, what it accepts, how it ends.

use super::Findings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// The HTTP server and the process.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The address to listen on. Default `127.0.0.1`.
    pub host: IpAddr,
    /// The TCP port; 0 lets the system choose. Default 8000.
    pub port: u16,
    /// Threads that parse and write HTTP, 1 to 256. Default: one per core.
    /// More than the cores only adds switching.
    pub workers: Option<usize>,
    /// Where the keyring and the warm cache live. Default `.mainstay`.
    pub state_dir: PathBuf,
    /// Seconds that a graceful stop may take, 1 to 600, before what is left
    /// is cut. Shorter than the supervisor's patience, or it kills first. Default 25.
    pub drain_seconds: u64,
    /// The largest body under `/api/v1`, in bytes. Default 1 MiB.
    pub body_limit_bytes: usize,
    /// The largest body under `/v1`, in bytes. Default 32 MiB.
    pub gateway_body_limit_bytes: usize,
    /// Seconds within which one request must be answered, 1 to 600. Streams
    /// are exempt once they have begun. Default 60.
    pub request_timeout_seconds: u64,
    /// Seconds that a client may take to send a request's head. Longer
    /// invites slow clients to hold connections, shorter cuts bad networks. Default 10.
    pub client_request_seconds: u64,
    /// Seconds that an idle connection is kept. Default 75, above the 60
    /// that most load balancers use, so that they close first.
    pub keep_alive_seconds: u64,
    /// Origins whose pages may call the API, such as `https://app.example.org`;
    /// `*` allows all. Default: none.
    #[serde(deserialize_with = "super::comma_separated")]
    pub cors_origins: Vec<String>,
    /// Addresses of the proxies whose `X-Forwarded-For` is believed. Default: none.
    #[serde(deserialize_with = "super::comma_separated")]
    pub trusted_proxies: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 8000,
            workers: None,
            state_dir: PathBuf::from(".mainstay"),
            drain_seconds: 25,
            body_limit_bytes: 1 << 20,
            gateway_body_limit_bytes: 32 << 20,
            request_timeout_seconds: 60,
            client_request_seconds: 10,
            keep_alive_seconds: 75,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Server {
    pub(super) fn validate(&self, findings: &mut Findings) {
        findings.check(
            self.workers.is_none_or(|n| (1..=256).contains(&n)),
            "workers",
            "must be from 1 to 256",
        );
        for (key, value) in [
            ("drain_seconds", self.drain_seconds),
            ("request_timeout_seconds", self.request_timeout_seconds),
            ("client_request_seconds", self.client_request_seconds),
            ("keep_alive_seconds", self.keep_alive_seconds),
        ] {
            findings.check((1..=600).contains(&value), key, "must be from 1 to 600");
        }
        let sizes = 1024..=1 << 30;
        findings.check(
            sizes.contains(&self.body_limit_bytes),
            "body_limit_bytes",
            "must be from 1024 to 1073741824 bytes",
        );
        findings.check(
            sizes.contains(&self.gateway_body_limit_bytes),
            "gateway_body_limit_bytes",
            "must be from 1024 to 1073741824 bytes",
        );
        findings.check(
            self.trusted_proxies
                .iter()
                .all(|proxy| proxy.parse::<IpAddr>().is_ok()),
            "trusted_proxies",
            "must hold IP addresses such as 10.0.0.7",
        );
        findings.check(
            self.cors_origins.iter().all(|origin| {
                origin == "*" || origin.starts_with("https://") || origin.starts_with("http://")
            }),
            "cors_origins",
            "must hold origins such as https://app.example.org, or *",
        );
    }

    /// How long a graceful stop may take.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// How long one request may take.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }
}
