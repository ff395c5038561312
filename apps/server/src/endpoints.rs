//! The endpoints, one file each, by area. See `operation` for how to add one.

pub(crate) mod ai;
pub(crate) mod auth;
pub(crate) mod conversations;
pub(crate) mod knowledge;
pub(crate) mod personas;
pub(crate) mod system;
