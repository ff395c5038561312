//! What the crate promises, as tests. Time is a manual clock or tokio's paused
//! one throughout; `MAINSTAY_LONG=1` makes the generated cases many more.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::redundant_closure_for_method_calls,
    reason = "the tests spawn on tokio's own runtime and own its clock, and a broken test panics"
)]
#![cfg(not(loom))]

mod adaptive;
mod breaker;
mod bulkhead;
mod cancellation;
mod chain;
mod clock;
mod config;
mod error;
mod hedge;
#[cfg(feature = "macros")]
mod macros;
mod model;
mod observers;
mod pipeline;
mod probes;
mod rate_limit;
mod registry;
mod retry;
mod shed;
mod spawn;
mod support;
mod throttle;
mod timeout;
#[cfg(feature = "tower")]
mod tower;
