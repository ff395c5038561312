#![doc = include_str!("../README.md")]

mod command;
mod config;
mod connection;
mod error;
mod guard;
mod script;
mod stream;
mod subscription;
mod value;

pub use config::{Config, ConfigError};
pub use connection::{Redis, State};
pub use error::Error;
pub use script::Script;
pub use stream::{StreamEntry, StreamReader};
pub use subscription::{Message, Subscription};
pub use value::Value;
