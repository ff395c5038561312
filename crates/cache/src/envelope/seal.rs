//! Encryption of what leaves memory.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf, hmac,
};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::key::Fingerprint;

/// 32 bytes that encrypt everything a cache writes to the disk and to the
/// shared tier. Wiped from memory when dropped and never printed.
///
/// Instances that share a tier need the same key; to others, and after a
/// change of the key, the entries are misses.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EncryptionKey([u8; 32]);

impl EncryptionKey {
    /// A key of these bytes, which must be random.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<[u8; 32]> for EncryptionKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(..)")
    }
}

/// The keys in use, derived from the caller's for one purpose each.
pub(crate) struct Sealer {
    body: RandomizedNonceKey,
    names: hmac::Key,
}

/// Bytes that encryption adds behind the body.
pub(crate) const TAG_LEN: usize = 16;

impl Sealer {
    /// `None` if the cryptography refuses, which it does for no key of this
    /// length.
    pub(crate) fn new(key: &EncryptionKey) -> Option<Self> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"mainstay-cache").extract(&key.0);
        let mut body = derive(&root, b"entry body v1")?;
        let sealer = Self {
            body: RandomizedNonceKey::new(&AES_256_GCM, &body).ok()?,
            names: hmac::Key::new(hmac::HMAC_SHA256, &derive(&root, b"entry name v1")?),
        };
        body.zeroize();
        Some(sealer)
    }

    /// The name of an entry outside: without the key nobody can find out
    /// whether a guessed question was asked.
    pub(crate) fn outer(&self, fingerprint: Fingerprint) -> Fingerprint {
        let tag = hmac::sign(&self.names, &fingerprint.0);
        let mut name = [0; 32];
        name.copy_from_slice(tag.as_ref());
        Fingerprint(name)
    }

    /// Encrypts `body` in place, appends its tag and returns the nonce.
    pub(crate) fn seal(&self, header: &[u8], body: &mut Vec<u8>) -> Option<[u8; NONCE_LEN]> {
        let nonce = self
            .body
            .seal_in_place_append_tag(Aad::from(header), body)
            .ok()?;
        Some(*nonce.as_ref())
    }

    /// Decrypts `body` in place and returns the length of what it held.
    pub(crate) fn open(
        &self,
        header: &[u8],
        nonce: [u8; NONCE_LEN],
        body: &mut [u8],
    ) -> Option<usize> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self
            .body
            .open_in_place(nonce, Aad::from(header), body)
            .ok()?;
        Some(plain.len())
    }
}

fn derive(root: &hkdf::Prk, purpose: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    root.expand(&[purpose], hkdf::HKDF_SHA256)
        .ok()?
        .fill(&mut bytes)
        .ok()?;
    Some(bytes)
}
