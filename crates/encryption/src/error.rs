//! Why keys could not be had.

use std::fmt;

/// Why a keyring could not be read, or a data key not made or unwrapped.
///
/// The message never holds key material.
#[derive(Debug)]
pub struct KeyError {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Config,
    UnknownKey,
    Unwrap,
    Unavailable,
}

impl KeyError {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn caused(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// True when the keyring is missing, unreadable or malformed.
    #[must_use]
    pub fn is_config(&self) -> bool {
        self.kind == Kind::Config
    }

    /// True when a data key was wrapped by a key that the keyring does not hold.
    #[must_use]
    pub fn is_unknown_key(&self) -> bool {
        self.kind == Kind::UnknownKey
    }

    /// True when a wrapped key does not open: it was altered, or belongs to
    /// another person.
    #[must_use]
    pub fn is_tampered(&self) -> bool {
        self.kind == Kind::Unwrap
    }

    /// True when the key management or the system's randomness did not answer;
    /// a later try may succeed.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.kind == Kind::Unavailable
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}
