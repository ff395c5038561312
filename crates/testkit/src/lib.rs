//! Real collaborators for tests: private Postgres and Redis, breakable proxy, scripted AI upstream.

pub mod database;
mod environment;
mod instance;
pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod upstream;

pub use environment::SetupError;
