//! One call's way through its model's deployments: whom to ask next, when to
//! wait, when to give up. This is the crate's only place that retries.
//!
//! The rules, in the order they are applied:
//!
//! 1. The caller's deadline and `max_attempts` end everything.
//! 2. Deployments are tried in the route's order. One whose breaker is open is
//!    passed over.
//! 3. One that failed may be asked again after its back-off, or after what its
//!    `Retry-After` says, if its retry budget allows. When that moment is near
//!    the call waits for it; otherwise the next deployment is asked.
//! 4. When everyone left wants to be waited for, the call waits for the
//!    soonest, if the deadline allows, and gives up at once if it does not.

mod ending;

use std::sync::Arc;
use std::time::Duration;

use mainstay_resilience::{Backoff, Deadline, Permit};

use crate::client::{CallOptions, Inner, Route};
use crate::deployment::Deployment;
use crate::error::AiError;
use crate::question::Question;
use crate::response::{AttemptOutcome, AttemptReport};
use crate::transport::Attempt;

/// The most that one attempt may take of the time that is left, when someone
/// else could still be asked afterwards.
const SHARE: f64 = 2.0 / 3.0;

pub(crate) struct Journey {
    pub(crate) inner: Arc<Inner>,
    pub(crate) question: Arc<Question>,
    pub(crate) hedge_after: Option<Duration>,
    pub(crate) requested_model: String,
    pub(crate) options: CallOptions,
    pub(crate) started: Duration,
    candidates: Vec<Candidate>,
    reports: Vec<AttemptReport>,
    sent: u32,
    failure: Option<AiError>,
}

struct Candidate {
    deployment: Arc<Deployment>,
    backoff: Backoff,
    tries: u32,
    not_before: Duration,
    over: bool,
}

/// Leave to ask one deployment once.
pub(crate) struct Turn {
    index: usize,
    pub(crate) deployment: Arc<Deployment>,
    permit: Permit,
    pub(crate) started: Duration,
    /// For the first piece of a stream.
    pub(crate) first_token: Duration,
    /// For a whole answer.
    pub(crate) whole: Duration,
    /// For everything.
    pub(crate) total: Deadline,
}

enum Step {
    Ask(usize, Permit),
    Wait(Duration),
    GiveUp,
}

impl Journey {
    pub(crate) fn new(
        inner: Arc<Inner>,
        route: &Route,
        question: Question,
        options: CallOptions,
    ) -> Self {
        let candidates = route
            .order(&inner, options.affinity.as_deref())
            .into_iter()
            .filter(|deployment| question.suits(deployment.provider.wire))
            .map(|deployment| Candidate {
                backoff: deployment.backoff.clone(),
                deployment,
                tries: 0,
                not_before: Duration::ZERO,
                over: false,
            })
            .collect();
        Self {
            started: inner.clock.now(),
            requested_model: route.name.clone(),
            inner,
            question: Arc::new(question),
            hedge_after: route.hedge_after,
            options,
            candidates,
            reports: Vec::new(),
            sent: 0,
            failure: None,
        }
    }

    /// Waits until someone may be asked.
    ///
    /// # Errors
    /// When nobody is left, with everything that happened.
    pub(crate) async fn next(&mut self) -> Result<Turn, AiError> {
        loop {
            let remaining = self.remaining();
            if remaining.is_zero() || self.sent >= self.inner.config.retry.max_attempts {
                return Err(self.give_up());
            }
            match self.choose(remaining) {
                Step::Ask(index, permit) => return Ok(self.begin(index, permit, remaining)),
                Step::Wait(wait) => tokio::time::sleep(wait).await,
                Step::GiveUp => return Err(self.give_up()),
            }
        }
    }

    fn remaining(&self) -> Duration {
        self.options.deadline.remaining(self.inner.clock.as_ref())
    }

    fn choose(&mut self, remaining: Duration) -> Step {
        let now = self.inner.clock.now();
        let patience = Duration::from_millis(self.inner.config.retry.patience_ms).min(remaining);
        let mut soonest: Option<Duration> = None;
        for index in 0..self.candidates.len() {
            let candidate = &mut self.candidates[index];
            if candidate.over {
                continue;
            }
            let ready = candidate
                .not_before
                .max(candidate.deployment.pace.cool_until());
            let wait = ready.saturating_sub(now);
            if !wait.is_zero() {
                if wait < patience {
                    return Step::Wait(wait);
                }
                soonest = Some(soonest.map_or(wait, |other| other.min(wait)));
                continue;
            }
            if candidate.tries > 0 && !spend_retry(&candidate.deployment) {
                candidate.over = true;
                self.skipped(index, AttemptOutcome::RetryBudgetSpent, None);
                continue;
            }
            match self.candidates[index].deployment.breaker.try_acquire() {
                Ok(permit) => return Step::Ask(index, permit),
                Err(rejected) => {
                    self.candidates[index].over = true;
                    self.skipped(index, AttemptOutcome::BreakerOpen, rejected.retry_after());
                }
            }
        }
        match soonest {
            Some(wait) if wait < remaining && wait < self.inner.config.timeouts.total() => {
                Step::Wait(wait)
            }
            Some(_) => {
                self.give_up_cooling(now);
                Step::GiveUp
            }
            None => Step::GiveUp,
        }
    }

    fn begin(&mut self, index: usize, permit: Permit, remaining: Duration) -> Turn {
        let others = self
            .candidates
            .iter()
            .filter(|candidate| !candidate.over && candidate.tries == 0);
        let somebody_else = others
            .filter(|other| !Arc::ptr_eq(&other.deployment, &self.candidates[index].deployment));
        let share = if somebody_else.count() > 0 && remaining != Duration::MAX {
            remaining.mul_f64(SHARE)
        } else {
            remaining
        };
        let candidate = &mut self.candidates[index];
        if candidate.tries == 0 {
            candidate.deployment.budget.deposit();
        }
        candidate.tries += 1;
        self.sent += 1;
        let timeouts = &candidate.deployment.provider.timeouts;
        let clock = self.inner.clock.as_ref();
        Turn {
            index,
            permit,
            started: clock.now(),
            first_token: timeouts.first_token().min(share),
            whole: timeouts.total().min(share),
            total: Deadline::after(clock, timeouts.total()).earliest(self.options.deadline),
            deployment: Arc::clone(&candidate.deployment),
        }
    }

    /// The attempt that `turn` allows.
    pub(crate) fn attempt(&self, turn: &Turn) -> Attempt {
        Attempt {
            deployment: Arc::clone(&turn.deployment),
            question: Arc::clone(&self.question),
            traceparent: self.options.traceparent.clone(),
            limits: self.inner.config.limits,
            clock: Arc::clone(&self.inner.clock),
        }
    }

    /// Leave to ask somebody else while `slow` is still being waited for, if
    /// there is somebody well whom this call has not asked, and budget for it.
    pub(crate) fn hedge(&mut self, slow: &Turn) -> Option<Turn> {
        let remaining = self.remaining();
        if remaining.is_zero() || self.sent >= self.inner.config.retry.max_attempts {
            return None;
        }
        let now = self.inner.clock.now();
        let index = self.candidates.iter().position(|candidate| {
            !candidate.over && candidate.tries == 0 && candidate.deployment.pace.cool_until() <= now
        })?;
        let permit = self.candidates[index]
            .deployment
            .breaker
            .try_acquire()
            .ok()?;
        spend_retry(&slow.deployment).then(|| self.begin(index, permit, remaining))
    }
}

fn spend_retry(deployment: &Deployment) -> bool {
    deployment
        .budget
        .try_retry()
        .map(|mut grant| grant.spend())
        .is_some()
}
