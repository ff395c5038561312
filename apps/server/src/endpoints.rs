//! The endpoints, one file each, by area. See `operation` for how to add one.

pub(crate) mod agents;
pub(crate) mod ai;
pub(crate) mod auth;
pub(crate) mod cache;
pub(crate) mod conversations;
pub(crate) mod events;
pub(crate) mod governance;
pub(crate) mod knowledge;
pub(crate) mod personas;
pub(crate) mod system;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod workspace;
