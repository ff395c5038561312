//! `[redis]`: what instances share. Without a URL there is no shared tier.

use super::Findings;
use mainstay_redis::Config;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What instances share.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// `redis://[[user:]password@]host[:port][/db]`, `rediss://` for TLS.
    /// Default: none, and no shared tier.
    #[serde(serialize_with = "super::masked")]
    #[schemars(with = "Option<String>")]
    pub url: Option<SecretString>,
    /// What every key begins with, so that deployments can share a server.
    /// Default `mainstay`.
    pub prefix: String,
    /// The longest that a command may take, in milliseconds. Too short: a
    /// pause of the server looks like an outage; too long: every miss waits
    /// that long while it stalls. Default 250.
    pub command_timeout_ms: u64,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: None,
            prefix: "mainstay".to_owned(),
            command_timeout_ms: 250,
        }
    }
}

impl Redis {
    pub(super) fn validate(&self, findings: &mut Findings) {
        findings.check(
            self.url
                .as_ref()
                .is_none_or(|url| url.expose_secret().starts_with("redis")),
            "url",
            "must be a URL such as redis://127.0.0.1:6379",
        );
        findings.check(!self.prefix.is_empty(), "prefix", "must not be empty");
        findings.check(
            (1..=60_000).contains(&self.command_timeout_ms),
            "command_timeout_ms",
            "must be from 1 to 60000",
        );
    }

    /// The settings of the Redis crate, when there is a URL.
    pub(crate) fn config(&self) -> Option<Config> {
        let url = self.url.as_ref()?;
        Some(Config {
            command_timeout: Duration::from_millis(self.command_timeout_ms),
            ..Config::new(url.expose_secret())
        })
    }
}
