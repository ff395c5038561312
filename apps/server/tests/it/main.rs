//! The server as its clients see it: a real one in this process, on a port of
//! its own, with real collaborators.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests own their runtime and fail by panicking"
)]

mod accounts;
mod agents;
mod answers;
mod asking;
mod cache;
mod cache_path;
mod command;
mod events;
mod faults_stores;
mod faults_upstream;
mod generated;
mod governance;
mod harness;
mod hostile;
mod http;
mod knowledge;
mod live;
mod people;
mod privacy;
mod process;
mod scrape;
mod seed;
mod sockets;
mod team;
mod usage;
