//! One call and its attempts.

use std::{sync::Arc, time::Duration};

use super::{
    Backoff, InFlight, RetryBudget, RetryConfig, RetryDecision, RetryGrant,
    config::unpack,
    policy::{Inner, Retry},
};
use crate::{Deadline, SharedClock, TokioClock, clock, observer::Event};

/// One call and its attempts.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    inner: &'a Inner,
    deadline: Deadline,
    number: u32,
    #[expect(dead_code, reason = "counts the call as in flight until it is dropped")]
    in_flight: Option<InFlight>,
    /// Paid for the attempt under way; a wait that is cancelled gives it back.
    grant: Option<RetryGrant>,
    backoff: Option<Backoff>,
}

impl Session<'_> {
    /// Begins the next attempt.
    pub(crate) fn attempt(&mut self) -> Attempt {
        self.number = self.number.saturating_add(1);
        if let Some(grant) = &mut self.grant {
            grant.spend();
        }
        Attempt {
            number: self.number,
            deadline: self.deadline,
        }
    }

    /// The wait before the next attempt, if there is to be one.
    pub(crate) fn next(&mut self, decision: RetryDecision) -> Option<Duration> {
        self.grant = None;
        let asked = match decision {
            RetryDecision::Stop => return None,
            RetryDecision::Retry => Duration::ZERO,
            RetryDecision::RetryAfter(wait) => wait,
        };
        let inner = self.inner;
        let config = unpack(inner.config.load());
        if self.number >= config.max_attempts || asked > config.longest_asked {
            return None;
        }
        let delay = self.wait(&config)?.max(asked);
        if !self.deadline.is_never() && delay >= self.deadline.remaining(&TokioClock) {
            return None;
        }
        if let Some(budget) = &inner.budget {
            self.grant = budget.try_retry();
            if self.grant.is_none() {
                inner
                    .observer
                    .emit(&Event::BudgetExhausted { by: &inner.name });
                return None;
            }
        }
        inner.observer.emit(&Event::Retry {
            by: &inner.name,
            attempt: self.number.saturating_add(1),
            delay,
        });
        Some(delay)
    }

    /// The policy's own wait. The sequence is made when it is first needed.
    fn wait(&mut self, config: &RetryConfig) -> Option<Duration> {
        if self.backoff.is_none() {
            let waits = Backoff::new(config.base, config.longest).ok()?;
            let random = Arc::clone(&self.inner.random);
            self.backoff = Some(waits.jitter(config.jitter).random(random));
        }
        self.backoff.as_mut().map(Backoff::next_delay)
    }
}

impl Retry {
    /// Begins a call.
    pub(crate) fn session(&self, deadline: Deadline) -> Session<'_> {
        let inner = &*self.inner;
        Session {
            inner,
            deadline,
            number: 0,
            in_flight: inner.budget.as_ref().and_then(RetryBudget::begin),
            grant: None,
            backoff: None,
        }
    }
}

/// One attempt of a call.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    number: u32,
    deadline: Deadline,
}

impl Attempt {
    /// The only attempt of a call that is not retried.
    pub(crate) fn only(deadline: Deadline) -> Self {
        Self {
            number: 1,
            deadline,
        }
    }

    /// Its number, counted from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether an attempt came before it.
    pub fn is_retry(&self) -> bool {
        self.number > 1
    }

    /// The deadline of the whole call.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// What is left of the deadline; `Duration::MAX` when there is none.
    pub fn remaining(&self) -> Duration {
        self.deadline.remaining(&TokioClock)
    }

    /// The clock that the deadline is read on.
    pub fn clock(&self) -> SharedClock {
        clock::default_clock()
    }
}
