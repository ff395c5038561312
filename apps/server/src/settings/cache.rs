//! `[cache]`: the memory and disk tiers.

use super::Findings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The memory and disk tiers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Bytes of the memory tier. Default 100 MiB.
    pub hot_bytes: u64,
    /// Bytes of the disk tier; 0 switches it off. Default 500 MiB.
    pub warm_bytes: u64,
    /// Where the disk tier lives. Default: `cache` under `server.state_dir`.
    pub dir: Option<PathBuf>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            hot_bytes: 100 << 20,
            warm_bytes: 500 << 20,
            dir: None,
        }
    }
}

impl Cache {
    pub(super) fn validate(&self, findings: &mut Findings) {
        findings.check(
            (1 << 20..=64 << 30).contains(&self.hot_bytes),
            "hot_bytes",
            "must be from 1048576 to 68719476736",
        );
        findings.check(
            self.warm_bytes == 0 || (16 << 20..=1 << 40).contains(&self.warm_bytes),
            "warm_bytes",
            "must be 0 or from 16777216 to 1099511627776",
        );
    }
}
