//! How long to wait before the next attempt.

use std::{sync::Arc, time::Duration};

use crate::{ConfigError, error::check, random::Random};

/// How randomness spreads the waits, so that callers that failed together do
/// not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Jitter {
    /// The waits double from the base to the longest.
    None,
    /// A random share of the doubling wait: the least work for the other side.
    #[default]
    Full,
    /// Random between the base and three times the previous wait.
    Decorrelated,
}

/// A sequence of waits: exponential between a base and a longest, with jitter.
///
/// The formulas are those of Marc Brooker's "Exponential Backoff And Jitter"
/// (AWS, 2015). It is endless; a reconnecting loop calls
/// [`next_delay`](Self::next_delay) after each failure and
/// [`reset`](Self::reset) after a success.
///
/// ```
/// use std::time::Duration;
/// use mainstay_resilience::{Backoff, Jitter};
///
/// # fn main() -> Result<(), mainstay_resilience::ConfigError> {
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1))?
///     .jitter(Jitter::None);
/// let waits: Vec<_> = backoff.by_ref().take(5).map(|wait| wait.as_millis()).collect();
/// assert_eq!(waits, [100, 200, 400, 800, 1000]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    longest: Duration,
    jitter: Jitter,
    random: Arc<Random>,
    attempt: u32,
    previous: Duration,
}

impl Backoff {
    /// Waits that start at `base` and never exceed `longest`, with full jitter.
    ///
    /// # Errors
    /// When the base is zero or exceeds the longest.
    pub fn new(base: Duration, longest: Duration) -> Result<Self, ConfigError> {
        check::positive("base", base)?;
        if base > longest {
            return Err(ConfigError::new("base", "must be at most the longest wait"));
        }
        Ok(Self {
            base,
            longest,
            jitter: Jitter::default(),
            random: Arc::new(Random::from_entropy()),
            attempt: 0,
            previous: base,
        })
    }

    /// Chooses the jitter.
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Makes the waits the same in every run.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.random(Arc::new(Random::seeded(seed)))
    }

    pub(super) fn random(mut self, random: Arc<Random>) -> Self {
        self.random = random;
        self
    }

    /// The next wait.
    pub fn next_delay(&mut self) -> Duration {
        let delay = match self.jitter {
            Jitter::None => self.exponential(),
            Jitter::Full => scale(self.exponential(), self.random.fraction()),
            Jitter::Decorrelated => {
                let upper = self.previous.saturating_mul(3).max(self.base);
                let spread = scale(upper.saturating_sub(self.base), self.random.fraction());
                self.base.saturating_add(spread).min(self.longest)
            }
        };
        self.attempt = self.attempt.saturating_add(1);
        self.previous = delay;
        delay
    }

    fn exponential(&self) -> Duration {
        // Any wait has reached any longest one after 94 doublings; the shift of
        // a u32 ends at 31, and the product saturates.
        let half = self.attempt.min(62) / 2;
        let rest = self.attempt.min(62) - half;
        self.base
            .saturating_mul(1 << half)
            .saturating_mul(1 << rest)
            .min(self.longest)
    }

    /// Starts over with the base, after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
        self.previous = self.base;
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    /// Never ends.
    fn next(&mut self) -> Option<Duration> {
        Some(self.next_delay())
    }
}

/// A share of a duration, for shares from 0 to 1.
fn scale(duration: Duration, share: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * share)
        .map_or(duration, |scaled| scaled.min(duration))
}
