//! Blind indexes: finding a sealed value by equality.

use aws_lc_rs::hmac;
use std::{fmt, sync::Arc};

/// A key that turns a text into 32 bytes that only this deployment can compute.
///
/// Equal texts give equal bytes, so an index shows which rows are equal. Use it
/// for values that cannot be guessed from a short list, such as e-mail
/// addresses, and never for a role, a country or a yes.
#[derive(Clone)]
pub struct BlindIndexKey(Arc<hmac::Key>);

impl BlindIndexKey {
    /// A blind index under `key`, best one that [`crate::Keyring::derive`] made.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// The index of `text`, which the caller has normalised.
    #[must_use]
    pub fn index(&self, text: &str) -> [u8; 32] {
        let mut index = [0; 32];
        index.copy_from_slice(hmac::sign(&self.0, text.as_bytes()).as_ref());
        index
    }
}

impl fmt::Debug for BlindIndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindIndexKey([redacted])")
    }
}
