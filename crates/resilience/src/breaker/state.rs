//! The states of a breaker, and how one word holds them.

use std::time::Duration;

/// The state of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Every call is admitted and its result is watched.
    Closed,
    /// Just closed: a growing share of the calls is admitted.
    Recovering,
    /// Every call is refused for a while.
    Open,
    /// A few probes are admitted; their results decide.
    HalfOpen,
    /// An operator has it refuse every call.
    ForcedOpen,
    /// An operator has it admit every call.
    ForcedClosed,
    /// It admits every call and records nothing.
    Disabled,
    /// It records, and reports what it would do, but admits every call.
    MetricsOnly,
}

impl State {
    /// A stable lower-case word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Recovering => "recovering",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }
}

/// The state and its generation in one word, so that the hot path learns both
/// with one load. Every change of state that ends the meaning of earlier calls
/// starts a new generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) state: State,
    pub(super) generation: u64,
}

impl Word {
    pub(super) fn pack(self) -> u64 {
        let code = match self.state {
            State::Closed => 0,
            State::Recovering => 1,
            State::Open => 2,
            State::HalfOpen => 3,
            State::ForcedOpen => 4,
            State::ForcedClosed => 5,
            State::Disabled => 6,
            State::MetricsOnly => 7,
        };
        (self.generation << 3) | code
    }

    pub(super) fn unpack(word: u64) -> Self {
        let state = match word & 7 {
            0 => State::Closed,
            1 => State::Recovering,
            2 => State::Open,
            3 => State::HalfOpen,
            4 => State::ForcedOpen,
            5 => State::ForcedClosed,
            6 => State::Disabled,
            _ => State::MetricsOnly,
        };
        Self {
            state,
            generation: word >> 3,
        }
    }

    /// The same generation in another state.
    pub(super) fn with_state(self, state: State) -> Self {
        Self { state, ..self }
    }

    /// The next generation, in `state`.
    pub(super) fn next(self, state: State) -> Self {
        Self {
            state,
            generation: self.generation.wrapping_add(1),
        }
    }
}

/// The state of a breaker in numbers, for health pages and tests.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// The name of the breaker.
    pub name: String,
    /// The state.
    #[cfg_attr(feature = "serde", serde(serialize_with = "state_word"))]
    pub state: State,
    /// Counts the changes of state.
    pub generation: u64,
    /// Results in the window; with consecutive failures, the failures in a row.
    pub calls: u64,
    /// Failures in the window, or in a row.
    pub failures: u64,
    /// Slow calls in the window.
    pub slow_calls: u64,
    /// How often the breaker opened without a lasting recovery in between.
    pub trips: u32,
    /// Probes under way.
    pub probes: usize,
    /// The time until the next call may be admitted, when open.
    pub retry_after: Option<Duration>,
}

#[cfg(feature = "serde")]
fn state_word<S: serde::Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}
