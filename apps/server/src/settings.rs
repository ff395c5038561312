//! Settings: a TOML file, then environment variables, then flags, composed
//! into one checked value before anything starts.
//!
//! Loading is a pure function of strings: nothing here reads a file or the
//! process environment, so every rule is tested without touching either.
//! Each section stands in a file of its own with its defaults and its rules.
//! **To add a setting**, add a field with a documented default to its
//! section and, if it can be wrong, a line to that section's `validate`.

mod ai;
mod auth;
mod cache;
mod database;
mod encryption;
mod limits;
mod loading;
mod realtime;
mod redis;
mod server;
mod telemetry;

pub use ai::Ai;
pub use auth::{Auth, Registration};
pub use cache::Cache;
pub use database::Database;
pub use encryption::Encryption;
pub use limits::Limits;
pub use loading::{Sources, load};
pub use realtime::Realtime;
pub use redis::Redis;
pub use server::Server;
pub use telemetry::{LogFormat, LogLevel, Telemetry};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that a deployment can set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The HTTP server and the process.
    pub server: Server,
    /// Postgres.
    pub database: Database,
    /// What instances share.
    pub redis: Redis,
    /// The memory and disk tiers.
    pub cache: Cache,
    /// Model providers.
    pub ai: Ai,
    /// Accounts and tokens.
    pub auth: Auth,
    /// Rate limits and load shedding.
    pub limits: Limits,
    /// WebSocket connections.
    pub realtime: Realtime,
    /// Logs, traces and metrics.
    pub telemetry: Telemetry,
    /// The keys of everything at rest.
    pub encryption: Encryption,
}

/// One setting that is wrong: which, why, and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The key, such as `server.port`; empty for the file as a whole.
    pub key: String,
    /// What is wrong with it and what it should look like.
    pub reason: String,
    /// Where it was set: a file, an environment variable or a flag.
    pub origin: String,
}

/// Why settings were refused. All that is wrong is listed, not only the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// At least one.
    pub wrong: Vec<Wrong>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, wrong) in self.wrong.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            let Wrong {
                key,
                reason,
                origin,
            } = wrong;
            if key.is_empty() {
                write!(f, "{reason} (in {origin})")?;
            } else {
                write!(f, "setting `{key}`: {reason} (set in {origin})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// Collects what a section finds wrong, under the section's name.
pub(crate) struct Findings {
    section: &'static str,
    found: Vec<(String, String)>,
}

impl Findings {
    fn new(section: &'static str) -> Self {
        Self {
            section,
            found: Vec::new(),
        }
    }

    /// Notes that `key` must be what `shape` says, unless `holds`.
    pub(crate) fn check(&mut self, holds: bool, key: &str, shape: impl Into<String>) {
        if !holds {
            self.found
                .push((format!("{}.{key}", self.section), shape.into()));
        }
    }
}

impl Settings {
    /// Every rule that the shape alone does not express, as (key, reason).
    pub(crate) fn findings(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut section = |name: &'static str, validate: &dyn Fn(&mut Findings)| {
            let mut findings = Findings::new(name);
            validate(&mut findings);
            all.append(&mut findings.found);
        };
        section("server", &|f| self.server.validate(f));
        section("database", &|f| self.database.validate(f));
        section("redis", &|f| self.redis.validate(f));
        section("cache", &|f| self.cache.validate(f));
        section("auth", &|f| self.auth.validate(f));
        section("limits", &|f| self.limits.validate(f));
        section("realtime", &|f| self.realtime.validate(f));
        section("telemetry", &|f| self.telemetry.validate(f));
        all
    }

    /// The JSON Schema of the settings file, for editors and for review.
    #[must_use]
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }
}

/// Shows that a secret is set, and not what it is.
pub(crate) fn masked<S: serde::Serializer>(
    secret: &Option<secrecy::SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "***").serialize(serializer)
}

/// Accepts a list, or one string with commas as environment variables carry it.
pub(crate) fn comma_separated<'de, D>(deserializer: D) -> Result<Vec<String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    struct Either;
    impl<'de> serde::de::Visitor<'de> for Either {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of strings, or one string separated by commas")
        }
        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect())
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(
            self,
            mut items: A,
        ) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                list.push(item);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_any(Either)
}
