//! What an attempt came to, and what follows from it for the deployment, for
//! this call and for its story.

use std::sync::Arc;
use std::time::Duration;

use mainstay_resilience::Permit;

use super::{Journey, Turn};
use crate::deployment::Deployment;
use crate::dialect::Answer;
use crate::error::{AiError, ErrorKind, Failure};
use crate::response::{AttemptOutcome, AttemptReport, ChatResponse, Usage};
use crate::tokens;

/// A timeout shorter than this, caused by the caller's deadline and not by our
/// settings, says nothing about the deployment.
const TELLING_TIMEOUT: Duration = Duration::from_secs(5);

impl Journey {
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

    pub(super) fn skipped(
        &mut self,
        index: usize,
        outcome: AttemptOutcome,
        retry_after: Option<Duration>,
    ) {
        let report = AttemptReport {
            outcome,
            retry_after,
            ..blank_report(&self.candidates[index].deployment)
        };
        self.reports.push(report);
    }

    pub(super) fn give_up_cooling(&mut self, now: Duration) {
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
