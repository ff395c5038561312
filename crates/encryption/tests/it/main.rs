//! What the keys promise.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod keyring;
mod sealing;
mod vault;
