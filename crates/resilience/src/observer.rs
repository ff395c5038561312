//! What happens inside the policies, told to whoever wants to know.

use std::{fmt::Debug, sync::Arc, time::Duration};

use crate::{Outcome, RejectedKind, State};

/// Hears every event of the policies that it was given to.
///
/// It is called on the thread of the call, after all locks are released; a
/// slow observer slows that call down and nothing else.
pub trait Observer: Send + Sync + Debug + 'static {
    /// Something happened. Does nothing by default.
    fn on_event(&self, event: &Event<'_>) {
        let _ = event;
    }
}

/// An observer that policies share.
pub type SharedObserver = Arc<dyn Observer>;

/// The observer that does nothing.
impl Observer for () {}

/// Observers that all hear every event, in order.
impl Observer for Vec<SharedObserver> {
    fn on_event(&self, event: &Event<'_>) {
        for observer in self {
            observer.on_event(event);
        }
    }
}

/// What happened, and to which policy.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A circuit breaker changed its state.
    StateChange {
        /// The breaker.
        by: &'a str,
        /// The state it left.
        from: State,
        /// The state it entered.
        to: State,
    },
    /// A breaker in metrics-only mode would have opened.
    WouldOpen {
        /// The breaker.
        by: &'a str,
    },
    /// A policy refused a call.
    Rejected {
        /// The policy.
        by: &'a str,
        /// Why.
        kind: RejectedKind,
        /// When to try again, where it is known.
        retry_after: Option<Duration>,
    },
    /// The result of a call that was admitted before the breaker changed its
    /// state; it changes nothing.
    StaleResult {
        /// The breaker.
        by: &'a str,
        /// What the call came to.
        outcome: Outcome,
    },
    /// A call is about to be tried again.
    Retry {
        /// The retry policy.
        by: &'a str,
        /// The number of the attempt to come; the first call was number 1.
        attempt: u32,
        /// The wait before it.
        delay: Duration,
    },
    /// A retry, or a hedge, was wanted and its budget did not allow it.
    BudgetExhausted {
        /// The retry or hedge policy.
        by: &'a str,
    },
    /// The time of a call ran out.
    Timeout {
        /// The policy that gave up.
        by: &'a str,
        /// The time that the call was given.
        after: Duration,
    },
    /// A second copy of a slow call was started.
    Hedged {
        /// The hedge policy.
        by: &'a str,
        /// The wait before it.
        delay: Duration,
    },
    /// A fallback chain was answered by a later step, or by none.
    Fallback {
        /// The chain.
        by: &'a str,
        /// The step that answered; `None` when none did.
        step: Option<&'a str>,
    },
    /// An adaptive limit moved.
    LimitChanged {
        /// The limit.
        by: &'a str,
        /// Calls that may be in flight from now on.
        limit: u32,
    },
}

impl Event<'_> {
    /// The name of the policy that it happened to.
    pub fn by(&self) -> &str {
        match self {
            Self::StateChange { by, .. }
            | Self::WouldOpen { by }
            | Self::Rejected { by, .. }
            | Self::StaleResult { by, .. }
            | Self::Retry { by, .. }
            | Self::BudgetExhausted { by }
            | Self::Timeout { by, .. }
            | Self::Hedged { by, .. }
            | Self::Fallback { by, .. }
            | Self::LimitChanged { by, .. } => by,
        }
    }
}

/// An observer that may be absent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(pub(crate) Option<SharedObserver>);

impl Watch {
    pub(crate) fn emit(&self, event: &Event<'_>) {
        if let Some(observer) = &self.0 {
            observer.on_event(event);
        }
    }

    /// Reports a refusal and hands it on.
    pub(crate) fn rejected(&self, rejected: crate::Rejected) -> crate::Rejected {
        self.emit(&Event::Rejected {
            by: rejected.by(),
            kind: rejected.kind(),
            retry_after: rejected.retry_after(),
        });
        rejected
    }
}
