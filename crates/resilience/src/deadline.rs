//! The time by which the caller needs its answer.

use std::time::Duration;

use crate::clock::Clock;

/// A point in time that travels down the call tree: whoever waits, waits no
/// longer than what remains of it.
///
/// It is a reading of a [`Clock`] and means something on that clock only.
/// [`SystemClock`](crate::SystemClock) and the tokio clock share their origin.
/// Policies that wait for tokio's timers read deadlines on tokio's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline {
    /// `Duration::MAX` stands for never.
    at: Duration,
}

impl Deadline {
    /// The deadline `after` from now.
    pub fn after(clock: &dyn Clock, after: Duration) -> Self {
        Self {
            at: clock.now().saturating_add(after),
        }
    }

    /// No deadline: it never expires.
    pub const fn never() -> Self {
        Self { at: Duration::MAX }
    }

    /// Whether this is no deadline at all.
    pub fn is_never(&self) -> bool {
        self.at == Duration::MAX
    }

    /// The time left, zero when it is over, `Duration::MAX` when there is no
    /// deadline.
    pub fn remaining(&self, clock: &dyn Clock) -> Duration {
        if self.is_never() {
            return Duration::MAX;
        }
        self.at.saturating_sub(clock.now())
    }

    /// Whether the time is over.
    pub fn is_expired(&self, clock: &dyn Clock) -> bool {
        self.remaining(clock).is_zero()
    }

    /// The one of the two that comes first.
    #[must_use]
    pub fn earliest(self, other: Self) -> Self {
        self.min(other)
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self::never()
    }
}
