//! Envelope encryption of single fields, blind indexes and derived keys.
//!
//! Every person has a random 256-bit [`DataKey`]. It seals their fields with
//! AES-256-GCM and is itself stored only wrapped by a versioned key-encryption
//! key of the [`Keyring`]. Destroying the wrapped key destroys everything that
//! it sealed, which is how a person is erased; rotating the key-encryption key
//! rewraps the small data keys and touches no data.
//!
//! What is sealed is bound to its place ([`Aad`]: workspace, table, column,
//! row and subject), so that a ciphertext copied to another row does not open.
//!
//! Lookups by equality, such as login by e-mail, use a [`BlindIndexKey`].

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
