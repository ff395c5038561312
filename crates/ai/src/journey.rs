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

use std::sync::Arc;
use std::time::Duration;

use mainstay_resilience::{Backoff, Deadline, Permit};

use crate::client::{CallOptions, Inner, Route};
use crate::deployment::Deployment;
use crate::dialect::Answer;
use crate::error::{AiError, ErrorKind, Failure};
use crate::question::Question;
use crate::response::{AttemptOutcome, AttemptReport, ChatResponse, Usage};
use crate::tokens;
use crate::transport::Attempt;

/// The most that one attempt may take of the time that is left, when someone
/// else could still be asked afterwards.
const SHARE: f64 = 2.0 / 3.0;

/// A timeout shorter than this, caused by the caller's deadline and not by our
/// settings, says nothing about the deployment.
const TELLING_TIMEOUT: Duration = Duration::from_secs(5);

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

    /// Notes that another attempt was quicker. The input of this one is paid.
    pub(crate) fn abandoned(&mut self, turn: Turn) {
        turn.permit.ignore();
        self.reports.push(AttemptReport {
            outcome: AttemptOutcome::Abandoned,
            elapsed: self.inner.clock.now().saturating_sub(turn.started),
            usage: Some(Usage {
                input_tokens: self.question.estimate_input_tokens(),
                ..Usage::default()
            }),
            usage_is_estimate: true,
            ..blank_report(&turn.deployment)
        });
    }

    /// Notes a failure. The next call of [`next`](Self::next) goes on from it.
    ///
    /// # Errors
    /// When going on makes no sense.
    pub(crate) fn failed(
        &mut self,
        turn: Turn,
        failure: Failure,
        usage: Option<Usage>,
    ) -> Result<(), AiError> {
        let clock = self.inner.clock.as_ref();
        let elapsed = clock.now().saturating_sub(turn.started);
        let deployment = turn.deployment;
        tracing::warn!(
            name: "ai.attempt.failed",
            deployment = %deployment.name,
            kind = ?failure.kind,
            status = failure.status,
            code = failure.code,
            detail = %failure.detail,
            "an AI deployment failed"
        );
        let asks_for_room = matches!(failure.kind, ErrorKind::RateLimited | ErrorKind::Overloaded);
        if let Some(wait) = failure.retry_after.filter(|_| asks_for_room) {
            deployment.pace.cool_for(clock, wait);
        }
        settle(turn.permit, &failure, elapsed, &deployment);
        let candidate = &mut self.candidates[turn.index];
        let wait = failure
            .retry_after
            .unwrap_or_default()
            .max(candidate.backoff.next_delay());
        candidate.not_before = clock.now().saturating_add(wait);
        candidate.over = !failure.may_try_again()
            || candidate.tries >= self.inner.config.retry.attempts_per_deployment;

        self.reports.push(AttemptReport {
            outcome: AttemptOutcome::Failed(failure.kind),
            status: failure.status,
            elapsed,
            retry_after: failure.retry_after,
            usage,
            usage_is_estimate: usage.is_some(),
            upstream_id: failure.upstream_id.clone(),
            ..blank_report(&deployment)
        });
        let stop = !failure.may_go_elsewhere();
        let error = AiError::from_failure(failure, &deployment.name);
        // A fallback with a wrong key must not hide that the first one was
        // overloaded: the caller may well succeed later.
        if stop || error.is_retryable() || self.failure.is_none() {
            self.failure = Some(error);
        }
        if stop { Err(self.give_up()) } else { Ok(()) }
    }

    /// Notes the end of a good attempt and hands out the story of the call.
    pub(crate) fn answered(
        &mut self,
        turn: Turn,
        usage: Usage,
        usage_is_estimate: bool,
        upstream_id: Option<String>,
    ) -> Vec<AttemptReport> {
        turn.permit.success();
        self.reports.push(AttemptReport {
            outcome: AttemptOutcome::Answered,
            status: Some(200),
            elapsed: self.inner.clock.now().saturating_sub(turn.started),
            usage: Some(usage),
            usage_is_estimate,
            upstream_id,
            ..blank_report(&turn.deployment)
        });
        std::mem::take(&mut self.reports)
    }

    /// Notes a whole answer and says what the caller gets of it.
    pub(crate) fn finish_whole(&mut self, turn: Turn, answer: Answer) -> ChatResponse {
        let deployment = Arc::clone(&turn.deployment);
        let latency = self.inner.clock.now().saturating_sub(turn.started);
        deployment.pace.answered_after(latency);
        let usage_is_estimate = answer.usage.is_none();
        let usage = answer.usage.unwrap_or_else(|| Usage {
            input_tokens: self.question.estimate_input_tokens(),
            output_tokens: tokens::estimate(&answer.text),
            ..Usage::default()
        });
        ChatResponse {
            cost: self.inner.cost(&deployment.model, &usage),
            attempts: self.answered(turn, usage, usage_is_estimate, answer.id.clone()),
            text: answer.text,
            tool_calls: answer.tool_calls,
            model: deployment.model.clone(),
            requested_model: self.requested_model.clone(),
            provider: deployment.provider.name.clone(),
            deployment: deployment.name.clone(),
            usage,
            usage_is_estimate,
            finish: answer.finish,
            upstream_id: answer.id,
            time_to_first_token: None,
            elapsed: self.elapsed(),
        }
    }

    /// Somebody has begun an answer: why others did not is history, and only
    /// what happens from here on can be the error of this call.
    pub(crate) fn begun(&mut self) {
        self.failure = None;
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.inner.clock.now().saturating_sub(self.started)
    }

    fn skipped(&mut self, index: usize, outcome: AttemptOutcome, retry_after: Option<Duration>) {
        let report = AttemptReport {
            outcome,
            retry_after,
            ..blank_report(&self.candidates[index].deployment)
        };
        self.reports.push(report);
    }

    fn give_up_cooling(&mut self, now: Duration) {
        for index in 0..self.candidates.len() {
            let candidate = &self.candidates[index];
            let ready = candidate
                .not_before
                .max(candidate.deployment.pace.cool_until());
            if !candidate.over {
                self.skipped(
                    index,
                    AttemptOutcome::CoolingDown,
                    Some(ready.saturating_sub(now)),
                );
            }
        }
    }

    /// The error that tells the whole story.
    pub(crate) fn give_up(&mut self) -> AiError {
        let waits = self.reports.iter().filter_map(|report| report.retry_after);
        let soonest = waits.min();
        let error = self.failure.take().unwrap_or_else(|| {
            if self.remaining().is_zero() {
                AiError::new(
                    ErrorKind::Timeout,
                    "the deadline had passed before a deployment could be asked",
                )
            } else {
                AiError::new(
                    ErrorKind::Rejected,
                    "every deployment is broken or cooling down",
                )
            }
        });
        let wait = error
            .retry_after()
            .or(soonest.filter(|_| error.is_retryable()));
        error
            .with_retry_after(wait)
            .with_attempts(std::mem::take(&mut self.reports))
    }
}

fn spend_retry(deployment: &Deployment) -> bool {
    deployment
        .budget
        .try_retry()
        .map(|mut grant| grant.spend())
        .is_some()
}

fn blank_report(deployment: &Deployment) -> AttemptReport {
    AttemptReport {
        deployment: deployment.name.clone(),
        provider: deployment.provider.name.clone(),
        model: deployment.model.clone(),
        outcome: AttemptOutcome::Answered,
        status: None,
        elapsed: Duration::ZERO,
        retry_after: None,
        usage: None,
        usage_is_estimate: false,
        upstream_id: None,
    }
}

/// Tells the breaker what a failure says about the deployment's health.
fn settle(permit: Permit, failure: &Failure, elapsed: Duration, deployment: &Deployment) {
    let own_timeout = deployment
        .provider
        .timeouts
        .first_token()
        .min(TELLING_TIMEOUT);
    match failure.kind {
        ErrorKind::Timeout if elapsed < own_timeout => permit.ignore(),
        ErrorKind::Timeout
        | ErrorKind::Unreachable
        | ErrorKind::Upstream
        | ErrorKind::Overloaded
        | ErrorKind::Truncated
        | ErrorKind::Garbled => permit.failure(),
        // It is well enough to refuse this request.
        ErrorKind::InvalidRequest | ErrorKind::TooLarge => permit.success(),
        // Rates and keys have their own remedies.
        _ => permit.ignore(),
    }
}
