//! The guards of a call that a breaker has admitted.

use std::{fmt, ops::Deref, sync::Arc};

use super::{Outcome, machine::Machine};

/// What a breaker remembers of a call that it admitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admission {
    /// The generation in which it was admitted.
    pub(super) generation: u64,
    /// When it began, in nanoseconds; zero where nobody measures.
    pub(super) started: u64,
    /// The number of the probe, or zero when it is none: they count from 1.
    pub(super) probe: u64,
}

/// Reports the result of a call exactly once, whatever happens to the call.
pub(crate) struct Ticket<M: Deref<Target = Machine>> {
    machine: M,
    admission: Admission,
    open: bool,
}

impl<M: Deref<Target = Machine>> Ticket<M> {
    #[inline]
    pub(super) fn new(machine: M, admission: Admission) -> Self {
        Self {
            machine,
            admission,
            open: true,
        }
    }

    #[inline]
    pub(crate) fn record(mut self, outcome: Outcome) {
        self.open = false;
        self.machine.record(self.admission, outcome);
    }
}

impl<M: Deref<Target = Machine>> Drop for Ticket<M> {
    #[inline]
    fn drop(&mut self) {
        if self.open {
            self.abandon();
        }
    }
}

impl<M: Deref<Target = Machine>> Ticket<M> {
    #[cold]
    fn abandon(&self) {
        // Unwinding through a ticket means that the call panicked. Otherwise
        // somebody lost interest in it, which says nothing about its target.
        let outcome = if std::thread::panicking() {
            Outcome::Failure
        } else {
            Outcome::Ignore
        };
        self.machine.record(self.admission, outcome);
    }
}

/// Leave to make one call, given by
/// [`CircuitBreaker::try_acquire`](super::CircuitBreaker::try_acquire).
///
/// Dropping it without a word counts as a cancelled call, or as a failure
/// while the thread panics; a probe's slot comes free either way.
#[must_use = "a permit that is dropped at once guards nothing"]
pub struct Permit {
    ticket: Ticket<Arc<Machine>>,
}

impl Permit {
    pub(super) fn new(ticket: Ticket<Arc<Machine>>) -> Self {
        Self { ticket }
    }

    /// The call went well.
    pub fn success(self) {
        self.record(Outcome::Success);
    }

    /// The call failed.
    pub fn failure(self) {
        self.record(Outcome::Failure);
    }

    /// The call says nothing about the other side.
    pub fn ignore(self) {
        self.record(Outcome::Ignore);
    }

    /// The call came to `outcome`.
    pub fn record(self, outcome: Outcome) {
        self.ticket.record(outcome);
    }

    /// Whether the call is one of the probes of a half-open breaker.
    pub fn is_probe(&self) -> bool {
        self.ticket.admission.probe != 0
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("breaker", &self.ticket.machine.name())
            .field("probe", &self.is_probe())
            .finish()
    }
}
