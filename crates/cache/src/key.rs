//! What an entry is called.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{Context, SHA256};

/// The name of an entry: a namespace, and an identity within it.
///
/// Only a digest of the identity is kept and stored, so that a prompt, a
/// mailbox or a document number given as a part appears neither in a file name
/// nor in a key of the shared tier. Two keys are equal when their namespaces
/// and all their parts are.
///
/// ```
/// use mainstay_cache::Key;
///
/// let one = Key::new("answers", ["persona", "question"]);
/// let other = Key::new("answers", ["personaquestion"]);
/// assert_ne!(one, other, "where a part ends is part of the key");
/// ```
#[derive(Clone)]
pub struct Key {
    namespace: Arc<str>,
    fingerprint: Fingerprint,
}

/// A SHA-256 digest that stands for a key inside the tiers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl Key {
    /// The key of `parts` in `namespace`.
    pub fn new<P: AsRef<[u8]>>(namespace: &str, parts: impl IntoIterator<Item = P>) -> Self {
        let mut digest = Context::new(&SHA256);
        push(&mut digest, namespace.as_bytes());
        for part in parts {
            push(&mut digest, part.as_ref());
        }
        Self::finish(namespace, digest)
    }

    /// The key of several byte strings in `namespace`; the same as
    /// [`new`](Self::new) with a type that is easier to infer.
    pub fn hashed(namespace: &str, parts: &[&[u8]]) -> Self {
        Self::new(namespace, parts)
    }

    /// A key whose identity the caller has digested already.
    pub fn from_id(namespace: &str, id: [u8; 32]) -> Self {
        Self::new(namespace, [id])
    }

    fn finish(namespace: &str, digest: Context) -> Self {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest.finish().as_ref());
        Self {
            namespace: namespace.into(),
            fingerprint: Fingerprint(fingerprint),
        }
    }

    /// The namespace, which quotas are counted by.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The digest that stands for this key.
    pub fn digest(&self) -> [u8; 32] {
        self.fingerprint.0
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// Every part is preceded by its length, so that no two lists of parts run
/// together to the same bytes.
fn push(digest: &mut Context, part: &[u8]) {
    digest.update(&(part.len() as u64).to_le_bytes());
    digest.update(part);
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        // The namespace is part of the digest.
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Key {}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}/{:?})", self.namespace, self.fingerprint)
    }
}

impl Fingerprint {
    /// The first 64 bits, for tables where a rare collision does no harm.
    pub(crate) fn short(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The whole in hexadecimal, for keys of the shared tier.
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "only the shared tier has text keys")
    )]
    pub(crate) fn hex(self) -> String {
        use std::fmt::Write;
        self.0
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

impl std::hash::Hash for Fingerprint {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.short());
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.short().swap_bytes())
    }
}

/// The short form of a tag, for tables where a rare collision only invalidates
/// too much.
pub(crate) fn tag_hash(tag: &str) -> u64 {
    let digest = aws_lc_rs::digest::digest(&SHA256, tag.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(8)
        .fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// Hashes a [`Fingerprint`], which is a digest already and needs no more than
/// its first word.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DigestHasher(u64);

impl std::hash::Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

pub(crate) type BuildDigestHasher = std::hash::BuildHasherDefault<DigestHasher>;
