//! Data keys: one per person, sealing that person's fields.

use crate::{
    Aad,
    error::{KeyError, Kind},
};
use aws_lc_rs::{
    aead::{self, AES_256_GCM, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand,
};
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const ALGORITHM_AES_256_GCM: u8 = 1;
const HEADER: usize = 2 + NONCE_LEN;
const TAG: usize = 16;

/// By how many bytes sealing makes a value longer: version, algorithm, nonce and tag.
pub const OVERHEAD: usize = HEADER + TAG;

/// A key that seals and opens one person's fields. Cloning shares the key.
///
/// Nonces are 96 random bits. One key seals one person's fields, so the 2³²
/// messages after which random nonces become unsafe are out of reach.
#[derive(Clone)]
pub struct DataKey(Arc<LessSafeKey>);

impl DataKey {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        cipher(bytes).map(|key| Self(Arc::new(key)))
    }

    /// Encrypts `plaintext` for the place `aad`.
    /// The result is `version | algorithm | nonce | ciphertext | tag`.
    ///
    /// # Errors
    /// [`KeyError`] with `is_unavailable()` when the system gives no randomness.
    pub fn seal(&self, aad: &Aad<'_>, plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        seal_with(&self.0, &aad.bytes(), plaintext)
    }

    /// Decrypts what [`DataKey::seal`] made for the same place.
    ///
    /// # Errors
    /// [`OpenError`] when it was altered, moved, or sealed by another key.
    pub fn open(&self, aad: &Aad<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        open_with(&self.0, &aad.bytes(), sealed)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey([redacted])")
    }
}

/// A sealed value that does not open: altered, cut, moved to another place,
/// or sealed by another key. Which of them cannot be told, by design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenError;

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sealed value does not open with this key at this place")
    }
}

impl std::error::Error for OpenError {}

/// The AES-256-GCM key of 32 bytes.
pub(crate) fn cipher(bytes: &[u8; 32]) -> Result<LessSafeKey, KeyError> {
    UnboundKey::new(&AES_256_GCM, bytes)
        .map(LessSafeKey::new)
        .map_err(|_| KeyError::new(Kind::Config, "a key is not usable for AES-256-GCM"))
}

pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, KeyError> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::fill(bytes.as_mut_slice())
        .map_err(|_| KeyError::new(Kind::Unavailable, "the system gave no randomness"))?;
    Ok(bytes)
}

pub(crate) fn seal_with(
    key: &LessSafeKey,
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let nonce = random::<NONCE_LEN>()?;
    let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
    sealed.extend_from_slice(&[VERSION, ALGORITHM_AES_256_GCM]);
    sealed.extend_from_slice(nonce.as_slice());
    sealed.extend_from_slice(plaintext);
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(*nonce),
            aead::Aad::from(aad),
            &mut sealed[HEADER..],
        )
        .map_err(|_| KeyError::new(Kind::Unavailable, "the value could not be sealed"))?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

pub(crate) fn open_with(
    key: &LessSafeKey,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (header, body) = sealed.split_at_checked(HEADER).ok_or(OpenError)?;
    let (version, nonce) = header.split_at(2);
    if version != [VERSION, ALGORITHM_AES_256_GCM] {
        return Err(OpenError);
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError)?;
    let mut text = Zeroizing::new(body.to_vec());
    let length = key
        .open_in_place(nonce, aead::Aad::from(aad), text.as_mut_slice())
        .map_err(|_| OpenError)?
        .len();
    text.truncate(length);
    Ok(text)
}
