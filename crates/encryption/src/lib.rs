#![doc = include_str!("../README.md")]

mod aad;
mod blind_index;
mod data_key;
mod error;
mod keyring;
mod vault;

pub use aad::Aad;
pub use blind_index::BlindIndexKey;
pub use data_key::{DataKey, OVERHEAD, OpenError};
pub use error::KeyError;
pub use keyring::Keyring;
pub use vault::{KeyOwner, Vault, WrappedKey};
