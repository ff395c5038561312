//! The server as its clients see it: a real one in this process, on a port of
//! its own, with real collaborators.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests own their runtime and fail by panicking"
)]

mod accounts;
mod agents;
mod answers;
mod cache;
mod generated;
mod governance;
mod harness;
mod http;
mod knowledge;
mod live;
mod people;
mod seed;
mod team;
mod usage;
