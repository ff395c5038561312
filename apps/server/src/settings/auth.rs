//! `[auth]`: accounts and tokens.

use super::Findings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Anybody; each newcomer gets a workspace of their own.
    Open,
    /// Whoever holds an invitation.
    #[default]
    Invite,
    /// Nobody.
    Closed,
}

/// Accounts and tokens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Who may make an account. Default `invite`.
    pub registration: Registration,
    /// Life of an access token in seconds, 60 to 86400. A role change or a
    /// lock reaches every token earlier, through revocation. Default 900.
    pub access_token_seconds: u64,
    /// Life of a refresh token in seconds, from its last use. Default 30 days.
    pub refresh_token_seconds: u64,
    /// The `iss` of access tokens. Default `mainstay`.
    pub issuer: String,
    /// The `aud` of access tokens. Default `mainstay`.
    pub audience: String,
    /// Memory of one password hash in KiB, from 8192. Default 19456 (OWASP).
    pub hash_memory_kib: u32,
    /// Password hashes that may run at once; each takes its memory and a
    /// core. Default 2.
    pub hash_concurrency: usize,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            registration: Registration::default(),
            access_token_seconds: 900,
            refresh_token_seconds: 30 * 24 * 3600,
            issuer: "mainstay".to_owned(),
            audience: "mainstay".to_owned(),
            hash_memory_kib: 19_456,
            hash_concurrency: 2,
        }
    }
}

impl Auth {
    pub(super) fn validate(&self, findings: &mut Findings) {
        findings.check(
            (60..=86_400).contains(&self.access_token_seconds),
            "access_token_seconds",
            "must be from 60 to 86400",
        );
        findings.check(
            (self.access_token_seconds..=366 * 86_400).contains(&self.refresh_token_seconds),
            "refresh_token_seconds",
            "must be at least access_token_seconds and at most 31622400",
        );
        findings.check(
            (8_192..=1 << 20).contains(&self.hash_memory_kib),
            "hash_memory_kib",
            "must be from 8192 to 1048576",
        );
        findings.check(
            (1..=64).contains(&self.hash_concurrency),
            "hash_concurrency",
            "must be from 1 to 64",
        );
        findings.check(!self.issuer.is_empty(), "issuer", "must not be empty");
        findings.check(!self.audience.is_empty(), "audience", "must not be empty");
    }
}
