//! The repositories and the database manager against a real Postgres.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests spawn tasks of their own and fail by panicking"
)]

mod accounts;
mod agents;
mod audit;
mod classes;
mod consistency;
mod conversations;
mod executions;
mod idempotency;
mod knowledge;
mod manager;
mod messages;
mod outbox;
mod personas;
mod pool;
mod protection;
mod row_level_security;
mod sessions;
mod signing_keys;
mod support;
mod usage;
mod workspaces;
