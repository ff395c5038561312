//! The client against a real Redis that is killed, frozen and cut off.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests spawn and measure on their own runtime, and fail by panicking"
)]

mod commands;
mod engine;
mod outages;
mod streams;
mod support;
