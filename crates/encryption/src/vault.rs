//! The vault: makes, wraps and unwraps data keys.

use crate::{
    DataKey, Keyring,
    data_key::{open_with, random, seal_with},
    error::{KeyError, Kind},
};
use arc_swap::ArcSwap;
use std::{fmt, sync::Arc};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Whose data key it is. A wrapped key opens for its owner only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyOwner {
    /// The workspace, or nil for a key of the whole deployment.
    pub workspace: Uuid,
    /// The person, or whatever the key belongs to.
    pub subject: Uuid,
}

/// A data key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The number of the key-encryption key that wrapped it.
    pub wrapped_by: u32,
    /// The encrypted key.
    pub bytes: Vec<u8>,
}

/// Makes and opens data keys with the keyring of the moment. Cloning shares it.
#[derive(Clone)]
pub struct Vault(Arc<ArcSwap<Keyring>>);

impl Vault {
    /// A vault over `keyring`.
    #[must_use]
    pub fn new(keyring: Keyring) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(keyring)))
    }

    /// Takes a new keyring into use, such as one with a rotated key, while
    /// others go on working.
    pub fn replace_keyring(&self, keyring: Keyring) {
        self.0.store(Arc::new(keyring));
    }

    /// The number of the key that wraps new data keys.
    #[must_use]
    pub fn current(&self) -> u32 {
        self.0.load().current()
    }

    /// The derived key of a purpose, see [`Keyring::derive`].
    ///
    /// # Errors
    /// As [`Keyring::derive`].
    pub fn derive(&self, purpose: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.0.load().derive(purpose)
    }

    /// Makes a random data key for `owner`, wrapped by the current key.
    ///
    /// # Errors
    /// `is_unavailable()` when the system gives no randomness.
    pub fn new_data_key(&self, owner: KeyOwner) -> Result<(DataKey, WrappedKey), KeyError> {
        let bytes = random::<32>()?;
        Ok((DataKey::from_bytes(&bytes)?, self.wrap(owner, &bytes)?))
    }

    /// Opens the wrapped data key of `owner`.
    ///
    /// # Errors
    /// `is_unknown_key()` when the keyring lacks the key that wrapped it;
    /// `is_tampered()` when it was altered or belongs to somebody else.
    pub fn unwrap(&self, owner: KeyOwner, wrapped: &WrappedKey) -> Result<DataKey, KeyError> {
        DataKey::from_bytes(&*self.unwrap_bytes(owner, wrapped)?)
    }

    /// The same data key wrapped by the current key, or `None` when it is
    /// already wrapped by it.
    ///
    /// # Errors
    /// As [`Vault::unwrap`].
    pub fn rewrap(
        &self,
        owner: KeyOwner,
        wrapped: &WrappedKey,
    ) -> Result<Option<WrappedKey>, KeyError> {
        if wrapped.wrapped_by == self.current() {
            return Ok(None);
        }
        let bytes = self.unwrap_bytes(owner, wrapped)?;
        self.wrap(owner, &bytes).map(Some)
    }

    fn wrap(&self, owner: KeyOwner, bytes: &[u8; 32]) -> Result<WrappedKey, KeyError> {
        let keyring = self.0.load();
        let wrapped_by = keyring.current();
        let key = keyring
            .key(wrapped_by)
            .ok_or_else(|| unknown_key(wrapped_by))?;
        Ok(WrappedKey {
            wrapped_by,
            bytes: seal_with(key, &binding(owner, wrapped_by), bytes)?,
        })
    }

    fn unwrap_bytes(
        &self,
        owner: KeyOwner,
        wrapped: &WrappedKey,
    ) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let keyring = self.0.load();
        let key = keyring
            .key(wrapped.wrapped_by)
            .ok_or_else(|| unknown_key(wrapped.wrapped_by))?;
        let tampered = || KeyError::new(Kind::Unwrap, "a wrapped data key does not open");
        let opened = open_with(key, &binding(owner, wrapped.wrapped_by), &wrapped.bytes)
            .map_err(|error| tampered().caused(error))?;
        let mut bytes = Zeroizing::new([0; 32]);
        if opened.len() != bytes.len() {
            return Err(tampered());
        }
        bytes.copy_from_slice(&opened);
        Ok(bytes)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Vault").field(&self.0.load()).finish()
    }
}

/// Everything has a fixed length, so the parts need no separators.
fn binding(owner: KeyOwner, wrapped_by: u32) -> Vec<u8> {
    let mut bytes = b"mainstay.data-key.v1".to_vec();
    bytes.extend_from_slice(&wrapped_by.to_be_bytes());
    bytes.extend_from_slice(owner.workspace.as_bytes());
    bytes.extend_from_slice(owner.subject.as_bytes());
    bytes
}

fn unknown_key(id: u32) -> KeyError {
    KeyError::new(
        Kind::UnknownKey,
        format!("the keyring lacks key {id}, which wrapped a data key; restore it to the keyring"),
    )
}
