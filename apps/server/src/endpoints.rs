//! The endpoints, one file each, by area. See `operation` for how to add one.

pub(crate) mod system;
