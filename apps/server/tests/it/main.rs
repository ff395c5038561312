//! The server as its clients see it: a real one in this process, on a port of
//! its own, with real collaborators.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests own their runtime and fail by panicking"
)]

mod accounts;
mod answers;
mod generated;
mod harness;
mod http;
mod live;
