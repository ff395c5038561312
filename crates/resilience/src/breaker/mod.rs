//! Stop calling what does not answer, and find out gently when it does again.

mod builder;
mod count_window;
mod gate;
mod guarded;
mod machine;
mod permit;
mod state;
mod time_window;

use std::{fmt, future::Future, sync::Arc, time::Duration};

pub use builder::{BreakerConfig, CircuitBreakerBuilder, Trip};
pub use permit::Permit;
pub use state::{BreakerSnapshot, State};

use crate::{ConfigError, Error, Name, Rejected, flat::Flat};
use guarded::Guarded;
use machine::Machine;
use permit::Ticket;

/// What a call came to, as far as a breaker is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The other side is well.
    Success,
    /// The other side is not well.
    Failure,
    /// Says nothing about the other side: a cancelled call, an error of the
    /// caller's own making.
    Ignore,
}

impl Outcome {
    /// `Ok` is a success, `Err` a failure.
    pub fn of<T, E>(result: Result<&T, &E>) -> Self {
        match result {
            Ok(_) => Self::Success,
            Err(_) => Self::Failure,
        }
    }
}

/// Classifies the result of a guarded call: a timeout is a failure, a refusal
/// by another policy says nothing, and `classify` decides about the rest.
pub(crate) fn outcome_of<T, E>(
    result: &Result<T, Error<E>>,
    classify: impl FnOnce(Result<&T, &E>) -> Outcome,
) -> Outcome {
    match result {
        Ok(value) => classify(Ok(value)),
        Err(Error::Inner(error)) => classify(Err(error)),
        Err(Error::Timeout { .. }) => Outcome::Failure,
        Err(Error::Rejected(_)) => Outcome::Ignore,
    }
}

/// A circuit breaker: a handle to one shared state, cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use mainstay_resilience::{CircuitBreaker, ConfigError};
///
/// # fn main() -> Result<(), ConfigError> {
/// let breaker = CircuitBreaker::builder("postgres")
///     .consecutive_failures(5)
///     .open_for(Duration::from_secs(60))
///     .build()?;
///
/// if let Ok(permit) = breaker.try_acquire() {
///     // Call, and say how it went. A permit that is dropped instead says
///     // that the call was cancelled, or that it panicked.
///     permit.success();
/// }
/// # Ok(())
/// # }
/// ```
///
/// # States
///
/// *Closed* admits every call and watches the results. When they are bad
/// enough it becomes *open* and refuses every call for a while. After that the
/// first caller makes it *half-open*: a few probes are let through, and their
/// results decide between open, for longer than before, and closed. Closing
/// passes through *recovering* when a ramp is set: a growing share of the calls
/// is admitted.
#[derive(Clone)]
pub struct CircuitBreaker {
    machine: Arc<Machine>,
}

impl CircuitBreaker {
    /// Starts to describe a breaker. Without further settings it opens after 5
    /// consecutive failures, for 60 seconds, and closes after one successful
    /// probe.
    pub fn builder(name: impl Into<Name>) -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::new(name.into())
    }

    pub(crate) fn from_machine(machine: Machine) -> Self {
        Self {
            machine: Arc::new(machine),
        }
    }

    /// The name that errors and events carry.
    pub fn name(&self) -> &str {
        self.machine.name()
    }

    /// Asks for leave to make one call.
    ///
    /// This is the gate for synchronous code and for streams: the permit owns
    /// its breaker and may be kept as long as the call lasts.
    ///
    /// # Errors
    /// The refusal, with the time after which a call may be admitted.
    pub fn try_acquire(&self) -> Result<Permit, Rejected> {
        let admission = self.machine.admit()?;
        Ok(Permit::new(Ticket::new(
            Arc::clone(&self.machine),
            admission,
        )))
    }

    /// Runs `future` if the breaker admits it. `Ok` counts as a success and
    /// `Err` as a failure; a cancelled call counts as neither, a panic as a
    /// failure.
    ///
    /// # Errors
    /// [`Error::Rejected`] without polling the future, or [`Error::Inner`].
    pub fn run<'a, T, E, F>(
        &'a self,
        future: F,
    ) -> impl Future<Output = Result<T, Error<E>>> + use<'a, T, E, F>
    where
        F: Future<Output = Result<T, E>>,
    {
        Guarded::new(&self.machine, Outcome::of, Flat::new(future))
    }

    /// Runs `future` if the breaker admits it; `classify` says what its result
    /// means.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_with<'a, T, E, C, F>(
        &'a self,
        classify: C,
        future: F,
    ) -> impl Future<Output = Result<T, Error<E>>> + use<'a, T, E, C, F>
    where
        C: FnOnce(Result<&T, &E>) -> Outcome,
        F: Future<Output = Result<T, E>>,
    {
        Guarded::new(&self.machine, classify, Flat::new(future))
    }

    /// The same for a future that other policies guard already: a timeout
    /// counts as a failure, a refusal of theirs as nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run), without nesting the errors.
    pub fn around<'a, T, E, F>(
        &'a self,
        future: F,
    ) -> impl Future<Output = Result<T, Error<E>>> + use<'a, T, E, F>
    where
        F: Future<Output = Result<T, Error<E>>>,
    {
        Guarded::new(&self.machine, Outcome::of, future)
    }

    /// [`around`](Self::around) with a classification of the operation's own
    /// results.
    ///
    /// # Errors
    /// As [`around`](Self::around).
    pub fn around_with<'a, T, E, C, F>(
        &'a self,
        classify: C,
        future: F,
    ) -> impl Future<Output = Result<T, Error<E>>> + use<'a, T, E, C, F>
    where
        C: FnOnce(Result<&T, &E>) -> Outcome,
        F: Future<Output = Result<T, Error<E>>>,
    {
        Guarded::new(&self.machine, classify, future)
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn ticket(&self) -> Result<Ticket<&Machine>, Rejected> {
        let admission = self.machine.admit()?;
        Ok(Ticket::new(&*self.machine, admission))
    }

    /// The state as of now. Open stays the answer after the waiting time is
    /// over, until a caller comes and makes the breaker half-open.
    ///
    /// Do not gate calls with it: only [`try_acquire`](Self::try_acquire)
    /// counts them.
    pub fn state(&self) -> State {
        self.machine.state()
    }

    /// Everything that a health page wants to show.
    pub fn snapshot(&self) -> BreakerSnapshot {
        self.machine.snapshot()
    }

    /// The time until a call may be admitted, when the breaker is open.
    pub fn retry_after(&self) -> Option<Duration> {
        self.snapshot().retry_after
    }

    /// Refuses every call until the next of these five methods.
    pub fn force_open(&self) {
        self.machine.force(State::ForcedOpen);
    }

    /// Admits every call, records its result and never opens, until
    /// [`reset`](Self::reset).
    pub fn force_closed(&self) {
        self.machine.force(State::ForcedClosed);
    }

    /// Admits every call and records nothing, until [`reset`](Self::reset).
    pub fn disable(&self) {
        self.machine.force(State::Disabled);
    }

    /// Admits every call and, instead of opening, tells the observer that it
    /// would have, until [`reset`](Self::reset).
    pub fn metrics_only(&self) {
        self.machine.force(State::MetricsOnly);
    }

    /// Closes the breaker and forgets all that it has learned.
    pub fn reset(&self) {
        self.machine.force(State::Closed);
    }

    /// Changes the settings and keeps the state: an open breaker stays open, a
    /// window keeps its results unless its kind or size changes.
    ///
    /// # Errors
    /// When the settings make no sense; the old ones stay then.
    pub fn reconfigure(&self, config: &BreakerConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.machine.reconfigure(config.clone());
        Ok(())
    }

    /// The settings in force.
    pub fn config(&self) -> BreakerConfig {
        self.machine.config()
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
