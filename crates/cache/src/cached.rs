//! What comes out of the cache, what a loader puts in, and how loading fails.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

/// A value, and where it comes from.
#[derive(Debug, Clone)]
pub struct Cached {
    /// The value; empty when the source said that there is none, which
    /// [`is_absent`](Self::is_absent) tells from a value without bytes.
    pub value: Bytes,
    /// The tier that answered.
    pub source: Source,
    /// The time since the value was loaded from the source.
    pub age: Duration,
    /// Whether the value is past its freshness and stands in for a newer one.
    pub stale: bool,
    /// Whether the value was read from a tier outside of memory, by this call
    /// or when it came into memory, and its checksum was found right.
    pub verified: bool,
    pub(crate) absent: bool,
}

impl Cached {
    /// Whether this is the knowledge that the source has no such value.
    pub fn is_absent(&self) -> bool {
        self.absent
    }

    /// The value, `None` when it is known not to exist.
    pub fn present(self) -> Option<Bytes> {
        (!self.absent).then_some(self.value)
    }
}

/// The tier that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The memory of this process.
    Hot,
    /// The disk of this machine.
    Warm,
    /// The server that instances share.
    Shared,
    /// None: it was loaded.
    Loaded,
}

impl Source {
    /// A stable lower-case word for metrics and for provenance.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Shared => "shared",
            Self::Loaded => "loaded",
        }
    }
}

/// What a loader found.
#[derive(Debug, Clone)]
pub enum Loaded {
    /// A value to keep.
    Value {
        /// The value. No bytes are a value too.
        bytes: Bytes,
        /// How long it is fresh, when the loader knows better than the
        /// options.
        ttl: Option<Duration>,
        /// Tags in addition to those of the options.
        tags: Vec<String>,
    },
    /// The source has no such value, which is worth remembering for a while.
    Absent,
    /// A value for those who are waiting now, and for nobody after them.
    Uncacheable {
        /// The value.
        bytes: Bytes,
    },
}

impl Loaded {
    /// A value to keep as the options say.
    pub fn value(bytes: impl Into<Bytes>) -> Self {
        Self::Value {
            bytes: bytes.into(),
            ttl: None,
            tags: Vec::new(),
        }
    }
}

impl From<Bytes> for Loaded {
    fn from(bytes: Bytes) -> Self {
        Self::value(bytes)
    }
}

/// Why a value could neither be found nor loaded, nor a stale one stand in.
#[non_exhaustive]
pub enum LoadError<E> {
    /// The loader's own error, shared by all who waited for that load.
    Failed(Arc<E>),
    /// The load took longer than allowed and was given up.
    Timeout {
        /// What was allowed.
        after: Duration,
    },
    /// The loader panicked.
    Panicked,
}

impl<E> LoadError<E> {
    /// The loader's own error.
    pub fn inner(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// The loader's own error by value, unless others who waited still hold
    /// it.
    ///
    /// # Errors
    /// This error itself.
    pub fn try_into_inner(self) -> Result<E, Self> {
        match self {
            Self::Failed(error) => Arc::try_unwrap(error).map_err(Self::Failed),
            other => Err(other),
        }
    }

    /// Whether the load took too long.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether the loader panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panicked)
    }
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Timeout { after } => Self::Timeout { after: *after },
            Self::Panicked => Self::Panicked,
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            Self::Timeout { after } => f.debug_struct("Timeout").field("after", after).finish(),
            Self::Panicked => f.write_str("Panicked"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Timeout { after } => write!(f, "loading took longer than {after:?}"),
            Self::Panicked => f.write_str("the loader panicked"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for LoadError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The text of the loader's error is already ours.
            Self::Failed(error) => error.source(),
            _ => None,
        }
    }
}
