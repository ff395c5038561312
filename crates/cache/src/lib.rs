#![doc = include_str!("../README.md")]

mod builder;
mod cache;
mod cached;
mod counters;
mod entry;
mod envelope;
mod error;
mod flight;
mod hot;
mod key;
mod load;
mod maintain;
mod memory;
#[cfg(test)]
mod model;
mod observer;
mod options;
mod quota;
mod read_only;
mod shared_tier;
mod stamps;
mod stats;
mod time;
#[cfg(feature = "serde_json")]
mod typed;
mod warm;

pub use builder::{Builder, Config};
pub use cache::{Cache, Invalidated};
pub use cached::{Cached, LoadError, Loaded, Source};
pub use envelope::EncryptionKey;
pub use error::ConfigError;
pub use key::Key;
pub use observer::{Event, Lookup, Observer, Tier, TierState};
pub use options::Options;
pub use read_only::ReadOnlyCache;
pub use stats::{Stats, TierStats};
#[cfg(feature = "serde_json")]
pub use typed::{Found, Typed, TypedError};
pub use warm::WarmConfig;
