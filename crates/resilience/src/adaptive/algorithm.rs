//! How an adaptive limit learns.

use std::time::Duration;

use crate::{ConfigError, error::check, random::Random};

/// The rule by which the limit moves.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Algorithm {
    /// One more for each round of good calls, a share less after a failure:
    /// the rule of TCP. It needs failures to find the limit.
    #[non_exhaustive]
    Aimd {
        /// What is left of the limit after a failure, from 0.5 and below 1.
        backoff: f64,
    },
    /// Compares the latency of now with the usual one, and lets a small queue
    /// form (Netflix concurrency-limits, `Gradient2Limit`):
    /// `limit * clamp(tolerance * usual / now, 0.5, 1) + queue`, smoothed, and
    /// computed once for each round of as many calls as are in flight.
    ///
    /// Netflix averages the usual latency over all calls, so that a server that
    /// slows down gradually takes the average, and with it the limit, along.
    /// Here it follows every call down, but up only what is measured with half
    /// the calls in flight: for two rounds of a hundred or so the limit is
    /// halved. Processes do so at random times and not in step.
    #[non_exhaustive]
    Gradient {
        /// How much slower than usual a call may be before the limit falls, at
        /// least 1.
        tolerance: f64,
        /// Calls that may queue at the other side.
        queue: u32,
        /// The weight of the newest estimate, above 0 and at most 1.
        smoothing: f64,
    },
}

impl Algorithm {
    /// [`Aimd`](Self::Aimd) with a backoff of 0.9.
    pub fn aimd() -> Self {
        Self::Aimd { backoff: 0.9 }
    }

    /// [`Gradient`](Self::Gradient) with Netflix' values: tolerance 1.5, a
    /// queue of 4, smoothing 0.2.
    pub fn gradient() -> Self {
        Self::Gradient {
            tolerance: 1.5,
            queue: 4,
            smoothing: 0.2,
        }
    }

    /// [`Aimd`](Self::Aimd) with a backoff of your own.
    pub fn aimd_with(backoff: f64) -> Self {
        Self::Aimd { backoff }
    }

    /// [`Gradient`](Self::Gradient) with values of your own.
    pub fn gradient_with(tolerance: f64, queue: u32, smoothing: f64) -> Self {
        Self::Gradient {
            tolerance,
            queue,
            smoothing,
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match *self {
            Self::Aimd { backoff } => {
                if (0.5..1.0).contains(&backoff) {
                    return Ok(());
                }
                Err(ConfigError::new("backoff", "must be from 0.5 and below 1"))
            }
            Self::Gradient {
                tolerance,
                smoothing,
                ..
            } => {
                let least = "must be a number of at least 1";
                check::finite_at_least("tolerance", tolerance, 1.0, least)?;
                check::rate("smoothing", smoothing)
            }
        }
    }
}

/// What the limit has learned.
#[derive(Debug)]
pub(super) struct Learned {
    pub(super) limit: f64,
    /// Counts the falls after failures. A failure of a call that began before
    /// the last fall has been paid for already.
    pub(super) falls: u64,
    /// The usual latency, in seconds; zero before the first round.
    usual: f64,
    round: Round,
    phase: Phase,
    random: Random,
}

/// What the rounds are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// To use the limit, for so many rounds more.
    Use(u64),
    /// To let the calls that began under the whole limit end.
    Drain,
    /// To measure the latency with half the limit.
    Measure,
}

/// The calls since the limit was last computed.
#[derive(Debug, Default)]
struct Round {
    calls: u32,
    seconds: f64,
    most_in_flight: u32,
}

/// Calls of a round at least: an average of fewer says little.
const ROUND: u32 = 10;

/// Rounds between two measurements, before as many again at random.
const BETWEEN: u64 = 80;

/// A call that came to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) latency: Duration,
    /// Calls in flight when it ended, itself included.
    pub(super) in_flight: u32,
    pub(super) failed: bool,
    /// The falls when it began.
    pub(super) falls: u64,
}

impl Learned {
    pub(super) fn new(limit: u32, random: Random) -> Self {
        Self {
            limit: limit.into(),
            falls: 0,
            usual: 0.0,
            round: Round::default(),
            phase: Phase::Use(BETWEEN),
            random,
        }
    }

    /// Takes a sample and answers the limit for now, not yet within its bounds.
    pub(super) fn learn(&mut self, algorithm: &Algorithm, sample: Sample) -> f64 {
        if sample.failed {
            self.fall(algorithm, sample);
            return self.now();
        }
        match *algorithm {
            Algorithm::Aimd { .. } => {
                // A limit that is not used must not grow.
                if f64::from(sample.in_flight) * 2.0 >= self.limit {
                    self.limit += 1.0 / self.limit.max(1.0);
                }
            }
            Algorithm::Gradient {
                tolerance,
                queue,
                smoothing,
            } => self.gradient(tolerance, queue.into(), smoothing, sample),
        }
        self.now()
    }

    /// The limit, halved while the usual latency is measured.
    fn now(&self) -> f64 {
        match self.phase {
            Phase::Use(_) => self.limit,
            Phase::Drain | Phase::Measure => self.limit / 2.0,
        }
    }

    fn fall(&mut self, algorithm: &Algorithm, sample: Sample) {
        if sample.falls == self.falls {
            self.falls += 1;
            self.round = Round::default();
            self.limit *= match algorithm {
                Algorithm::Aimd { backoff } => *backoff,
                Algorithm::Gradient { .. } => 0.9,
            };
        }
    }

    fn gradient(&mut self, tolerance: f64, queue: f64, smoothing: f64, sample: Sample) {
        let round = &mut self.round;
        round.calls += 1;
        round.seconds += sample.latency.as_secs_f64();
        round.most_in_flight = round.most_in_flight.max(sample.in_flight);
        if round.calls < ROUND.max(round.most_in_flight) {
            return;
        }
        let Round {
            calls,
            seconds,
            most_in_flight,
        } = std::mem::take(round);
        // A clock that stands still gives no latency to compare.
        let latency = (seconds / f64::from(calls)).max(1e-9);
        let phase = self.phase;
        self.phase = match phase {
            Phase::Use(0) => Phase::Drain,
            Phase::Use(rounds) => Phase::Use(rounds - 1),
            Phase::Drain => Phase::Measure,
            Phase::Measure => Phase::Use(BETWEEN + self.random.next() % BETWEEN),
        };
        if self.usual == 0.0 {
            self.usual = latency;
        } else if latency < self.usual {
            self.usual += (latency - self.usual) * 0.2;
        } else if phase == Phase::Measure {
            self.usual += (latency - self.usual) * 0.5;
        }
        // A limit that is not used must not move, and neither one that is
        // halved only to look.
        let used = f64::from(most_in_flight) * 2.0 >= self.limit;
        if used && matches!(phase, Phase::Use(_)) {
            let gradient = (tolerance * self.usual / latency).clamp(0.5, 1.0);
            let target = self.limit * gradient + queue;
            self.limit += (target - self.limit) * smoothing;
        }
    }
}
