//! What operators and tools ask about the process.

pub(crate) mod docs;
pub(crate) mod health;
pub(crate) mod info;
pub(crate) mod jwks;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod ready;
