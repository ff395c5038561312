//! Lua that runs as one step on the server.

use std::sync::Arc;

/// A Lua script, sent by its digest and in full only when the server does not
/// know it yet.
#[derive(Debug, Clone)]
pub struct Script {
    lua: Arc<str>,
    sha1: Arc<str>,
}

impl Script {
    /// A script with the text `lua`. Keep it: its digest is computed here.
    pub fn new(lua: &str) -> Self {
        Self {
            lua: lua.into(),
            sha1: fred::util::sha1_hash(lua).into(),
        }
    }

    pub(crate) fn lua(&self) -> &str {
        &self.lua
    }

    pub(crate) fn sha1(&self) -> &str {
        &self.sha1
    }
}
