//! Leave a stalled server alone.

use mainstay_resilience::{CircuitBreaker, Outcome, Permit, SharedClock, State};

use crate::{Config, ConfigError, Error, error::Kind};

/// Opens after several commands in a row got no answer in time. A lost
/// connection is not its business: commands fail fast then anyway.
pub(crate) struct StallBreaker {
    breaker: CircuitBreaker,
}

/// Leave to send one command.
pub(crate) struct Admitted {
    permit: Permit,
}

impl StallBreaker {
    pub(crate) fn new(config: &Config, clock: &SharedClock) -> Result<Self, ConfigError> {
        let breaker = CircuitBreaker::builder("redis")
            .consecutive_failures(config.breaker_failures)
            .open_for(config.breaker_open)
            .open_backoff(1.0, config.breaker_open)
            .probe_timeout(config.command_timeout.saturating_mul(2))
            .clock(clock.clone())
            .build()
            .map_err(|error| ConfigError::new("breaker", error.reason()))?;
        Ok(Self { breaker })
    }

    /// Whether commands are refused for the time being.
    pub(crate) fn is_open(&self) -> bool {
        self.breaker.state() == State::Open
            && self
                .breaker
                .retry_after()
                .is_some_and(|left| !left.is_zero())
    }

    pub(crate) fn admit(&self, command: &'static str) -> Result<Admitted, Error> {
        match self.breaker.try_acquire() {
            Ok(permit) => Ok(Admitted { permit }),
            Err(rejected) => Err(Error::new(
                command,
                Kind::Open {
                    retry_after: rejected.retry_after(),
                },
            )),
        }
    }
}

impl Admitted {
    pub(crate) fn settle<T>(self, result: &Result<T, Error>) {
        self.permit.record(match result {
            Ok(_) => Outcome::Success,
            Err(error) => match error.kind() {
                Kind::Timeout => Outcome::Failure,
                // The server answered, if only to refuse.
                Kind::Refused | Kind::Unexpected => Outcome::Success,
                _ => Outcome::Ignore,
            },
        });
    }
}
