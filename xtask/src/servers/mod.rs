//! Private Postgres and Redis servers: found or installed, started, stopped.

pub(crate) mod account;
mod binaries;
mod install;
pub(crate) mod postgres;
mod random;
pub(crate) mod redis;

pub(crate) use binaries::Binaries;
pub(crate) use postgres::Postgres;
pub(crate) use redis::Redis;
