//! The cache as its users see it, on real directories and a real Redis.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests spawn and measure on their own runtime, and fail by panicking"
)]

mod disk;
mod engine;
mod faults;
mod invalidation;
mod loading;
mod support;

#[cfg(feature = "redis")]
mod shared_tier;
#[cfg(feature = "serde_json")]
mod typed;
