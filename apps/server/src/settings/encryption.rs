//! `[encryption]`: the keys that everything at rest is sealed with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The keys that everything at rest is sealed with.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Encryption {
    /// The keyring file. Every server of a deployment needs the same one, and
    /// whoever loses it loses the data: back it up apart from the database.
    /// Default: `keyring.json` under `server.state_dir`, made at the first start.
    pub keyring_file: Option<PathBuf>,
}
