//! `[realtime]`: WebSocket connections.

use super::Findings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// WebSocket connections.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Realtime {
    /// Connections of this process; more are closed with 1013. Default 10000.
    pub max_connections: usize,
    /// Connections of one principal; more are closed with 1008. Default 5.
    pub per_principal: usize,
    /// The largest frame that a client may send, in bytes. Default 64 KiB.
    pub max_frame_bytes: u64,
    /// Seconds between pings. Default 25.
    pub ping_seconds: u64,
}

impl Default for Realtime {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            per_principal: 5,
            max_frame_bytes: 64 * 1024,
            ping_seconds: 25,
        }
    }
}

impl Realtime {
    pub(super) fn validate(&self, findings: &mut Findings) {
        findings.check(
            (1..=1_000_000).contains(&self.max_connections),
            "max_connections",
            "must be from 1 to 1000000",
        );
        findings.check(
            (1..=10_000).contains(&self.per_principal),
            "per_principal",
            "must be from 1 to 10000",
        );
        findings.check(
            (1_024..=16 << 20).contains(&self.max_frame_bytes),
            "max_frame_bytes",
            "must be from 1024 to 16777216",
        );
        findings.check(
            (1..=300).contains(&self.ping_seconds),
            "ping_seconds",
            "must be from 1 to 300",
        );
    }
}
