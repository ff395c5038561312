//! Ed25519 signing keys and what the world may see of them.

use crate::random::RandomnessUnavailable;
use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::Serialize;
use std::fmt;
use zeroize::Zeroizing;

/// Why a signing key could not be made, read or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The system's random generator is not available.
    #[error(transparent)]
    Randomness(#[from] RandomnessUnavailable),
    /// The stored bytes are not an Ed25519 key in PKCS#8.
    #[error("the stored signing key is not an Ed25519 key in PKCS#8")]
    Malformed,
    /// There is no key to sign with.
    #[error("there is no signing key")]
    Missing,
    /// The signature could not be made.
    #[error("the token could not be signed")]
    Signing,
}

/// An Ed25519 key that signs access tokens. `Debug` shows its id only.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    created_at: Timestamp,
    public: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl SigningKey {
    /// A new key, made at `now`.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] when the system gives no random bytes.
    pub fn generate(now: Timestamp) -> Result<Self, KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| RandomnessUnavailable)?;
        Self::from_pkcs8(document.as_ref(), now)
    }

    /// A key as it was stored, with the time at which it was made.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when the bytes are no such key.
    pub fn from_pkcs8(pkcs8: &[u8], created_at: Timestamp) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Malformed)?;
        let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        Ok(Self {
            kid: thumbprint(&public),
            created_at,
            encoding: EncodingKey::from_ed_der(pkcs8),
            decoding: DecodingKey::from_ed_der(pair.public_key().as_ref()),
            public,
        })
    }

    /// The key as PKCS#8, to be stored sealed.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.encoding.as_bytes().to_vec())
    }

    /// The key's id: the RFC 7638 thumbprint of its public half, so that the
    /// same key has the same id on every instance.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// When it was made.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// The public half as a JSON Web Key.
    #[must_use]
    pub fn public_jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            key_use: "sig",
            kid: self.kid.clone(),
            x: self.public.clone(),
        }
    }

    /// The signature of `message` in base64url.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<String, KeyError> {
        jsonwebtoken::crypto::sign(message, &self.encoding, Algorithm::EdDSA)
            .map_err(|_| KeyError::Signing)
    }

    /// Whether `signature` (base64url) is this key's over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message, &self.decoding, Algorithm::EdDSA)
            .unwrap_or(false)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// The RFC 7638 thumbprint of an Ed25519 public key: the members in
/// alphabetical order, without white space.
fn thumbprint(public: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

/// A public key as `/.well-known/jwks.json` shows it. There is no field that
/// could carry a private key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    key_use: &'static str,
    kid: String,
    x: String,
}

/// The public keys that tokens may be verified with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwks {
    /// The keys, oldest first.
    pub keys: Vec<Jwk>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::generate(Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_stored_key_is_the_same_key() {
        let made = key();
        let read = SigningKey::from_pkcs8(&made.to_pkcs8(), made.created_at()).unwrap();
        assert_eq!(read.kid(), made.kid());
        assert!(made.verifies(b"message", &read.sign(b"message").unwrap()));
    }

    #[test]
    fn a_signature_belongs_to_one_message_and_one_key() {
        let key_one = key();
        let signature = key_one.sign(b"message").unwrap();
        assert!(!key_one.verifies(b"massage", &signature));
        assert!(!key().verifies(b"message", &signature));
        assert!(!key_one.verifies(b"message", "not base64!"));
    }

    #[test]
    fn bytes_that_are_no_key_are_refused() {
        for bad in [&b""[..], b"-----BEGIN PRIVATE KEY-----", &[0x30; 48]] {
            assert_eq!(
                SigningKey::from_pkcs8(bad, Timestamp::UNIX_EPOCH).unwrap_err(),
                KeyError::Malformed
            );
        }
    }

    #[test]
    fn the_id_is_the_standard_thumbprint() {
        // The example of RFC 8037, appendix A.3.
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn nothing_private_is_shown() {
        let key = key();
        let json = serde_json::to_value(key.public_jwk()).unwrap();
        let names: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"]);
        // The seed is the 32 bytes after the PKCS#8 prefix of 16.
        let seed = URL_SAFE_NO_PAD.encode(&key.to_pkcs8()[16..48]);
        assert!(!json.to_string().contains(&seed));
        assert!(!format!("{key:?}").contains(&key.public));
    }
}
