//! What happens inside, told to whoever wants to know.

use std::{fmt::Debug, sync::Arc, time::Duration};

/// A tier of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The memory of this process.
    Hot,
    /// The disk of this machine.
    Warm,
    /// The server that instances share.
    Shared,
}

impl Tier {
    /// A stable lower-case word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Shared => "shared",
        }
    }
}

/// How a tier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TierState {
    /// Not configured.
    Off,
    /// Being opened for the first time.
    Opening,
    /// In use.
    Up,
    /// Left alone for a while after failures.
    Tripped,
    /// Given up for longer; the cache works from memory.
    MemoryOnly,
    /// Shut down.
    Closed,
}

impl TierState {
    /// A stable lower-case word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Opening => "opening",
            Self::Up => "up",
            Self::Tripped => "tripped",
            Self::MemoryOnly => "memory_only",
            Self::Closed => "closed",
        }
    }
}

/// What a look into a tier came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// A fresh entry.
    Hit,
    /// An entry past its freshness that may still stand in.
    Stale,
    /// Nothing of use.
    Miss,
    /// The tier failed or did not answer in time.
    Error,
    /// Bytes that are no whole entry of ours.
    Damaged,
}

impl Lookup {
    /// A stable lower-case word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Error => "error",
            Self::Damaged => "damaged",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A look into a tier. Misses of the hot tier are not told one by one.
    Looked {
        /// The tier.
        tier: Tier,
        /// What it came to.
        result: Lookup,
        /// How long it took; zero for the hot tier, which is not timed.
        took: Duration,
    },
    /// A loader ran.
    Loaded {
        /// How long it took.
        took: Duration,
        /// Whether it gave a value, or the knowledge that there is none.
        success: bool,
        /// Whether nobody waited for it.
        background: bool,
    },
    /// Entries left the hot tier to make room.
    Evicted {
        /// The tier.
        tier: Tier,
    },
    /// An entry was not written because the tier could not keep up or take it.
    Dropped {
        /// The tier.
        tier: Tier,
    },
    /// A tier changed its state.
    State {
        /// The tier.
        tier: Tier,
        /// The state it left.
        from: TierState,
        /// The state it entered.
        to: TierState,
        /// Why, in words for a log.
        reason: &'a str,
    },
    /// Keys, a tag or everything was invalidated here.
    Invalidated {
        /// How many keys; zero for a tag or everything.
        keys: usize,
        /// Whether another instance asked for it.
        remote: bool,
    },
    /// What other instances invalidated may have been missed, so that
    /// everything kept here was dropped.
    Resynchronised,
}

/// Hears every [`Event`]. It is called on the thread of the caller with no
/// lock held; a slow observer slows that call down and nothing else.
pub trait Observer: Send + Sync + Debug + 'static {
    /// Something happened. Does nothing by default.
    fn on_event(&self, event: &Event<'_>) {
        let _ = event;
    }
}

/// An observer that may be absent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(pub(crate) Option<Arc<dyn Observer>>);

impl Watch {
    pub(crate) fn emit(&self, event: &Event<'_>) {
        if let Some(observer) = &self.0 {
            observer.on_event(event);
        }
    }
}
