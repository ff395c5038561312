//! The cache as its users see it, on real directories and a real Redis.
#![allow(
    clippy::disallowed_methods,
    reason = "tests spawn, and measure, on their own runtime"
)]

mod disk;
mod invalidation;
mod loading;
mod support;

#[cfg(feature = "redis")]
mod shared;
