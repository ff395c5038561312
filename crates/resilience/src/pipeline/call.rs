//! One call on its way through the policies.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::OnceLock,
    time::Duration,
};

use super::{BREAKER, BULKHEAD, Inner, RATE_LIMIT, RETRY, Verdict};
use crate::{
    Deadline, Error, Event, Rejected, RejectedKind, Retry, RetryDecision, TokioClock,
    retry::decide as retry_guarded, timeout::limit,
};

/// The settings as of its beginning.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) deadline: Deadline,
    attempt_timeout: Duration,
    parts: u64,
}

impl Inner {
    pub(super) fn begin(&self, deadline: Deadline) -> Result<Call, Rejected> {
        let [own, attempt_timeout, parts] = self.settings.load();
        let mut deadline = deadline;
        if own != u64::MAX {
            let own = Deadline::after(&TokioClock, Duration::from_nanos(own));
            deadline = deadline.earliest(own);
        }
        if !deadline.is_never() && deadline.is_expired(&TokioClock) {
            let rejected = Rejected::new(&self.name, RejectedKind::DeadlineExpired, None);
            return Err(self.observer.rejected(rejected));
        }
        Ok(Call {
            deadline,
            attempt_timeout: match attempt_timeout {
                u64::MAX => Duration::MAX,
                nanoseconds => Duration::from_nanos(nanoseconds),
            },
            parts,
        })
    }

    pub(super) fn retry(&self, call: Call) -> Option<&Retry> {
        self.retry.get().filter(|_| call.parts & RETRY != 0)
    }

    /// A policy, when it is in use.
    pub(super) fn part<'a, T>(&self, bit: u64, part: &'a OnceLock<T>) -> Option<&'a T> {
        let [_, _, parts] = self.settings.load();
        part.get().filter(|_| parts & bit != 0)
    }

    /// Makes one attempt, and says whether another would make sense. Nothing of
    /// the operation runs before it is admitted, not even its closure.
    pub(super) async fn attempt<T, E, V: Into<Verdict>, Fut>(
        &self,
        call: Call,
        classify: &impl Fn(Result<&T, &E>) -> V,
        operation: impl FnOnce() -> Fut,
    ) -> (Result<T, Error<E>>, RetryDecision)
    where
        Fut: Future<Output = Result<T, Error<E>>>,
    {
        let in_use = |bit| call.parts & bit != 0;
        let ticket = match self.breaker.get().filter(|_| in_use(BREAKER)) {
            Some(breaker) => match breaker.ticket() {
                Ok(ticket) => Some(ticket),
                Err(rejected) => return refused(rejected),
            },
            None => None,
        };
        // A refusal from here on drops the ticket: it says nothing about the
        // other side.
        if let Some(limiter) = self.rate_limit.get().filter(|_| in_use(RATE_LIMIT))
            && let Err(rejected) = limiter.check()
        {
            return refused(rejected);
        }
        let slot = match self.bulkhead.get().filter(|_| in_use(BULKHEAD)) {
            Some(bulkhead) => match bulkhead.slot(call.deadline).await {
                Ok(slot) => Some(slot),
                Err(rejected) => return refused(rejected),
            },
            None => None,
        };
        let result = self.limited(call, pin!(operation())).await;
        drop(slot);
        let verdict = judge(&result, classify);
        if let Some(ticket) = ticket {
            ticket.record(verdict.outcome);
        }
        (result, verdict.retry)
    }

    /// Runs an attempt within its own time and the deadline's.
    async fn limited<T, E>(
        &self,
        call: Call,
        future: Pin<&mut impl Future<Output = Result<T, Error<E>>>>,
    ) -> Result<T, Error<E>> {
        let mut after = call.attempt_timeout;
        if !call.deadline.is_never() {
            after = after.min(call.deadline.remaining(&TokioClock));
        }
        if after == Duration::MAX {
            return future.await;
        }
        match limit(after, future).await {
            Some(result) => result,
            None => {
                self.observer.emit(&Event::Timeout {
                    by: &self.name,
                    after,
                });
                Err(Error::Timeout {
                    by: self.name.clone(),
                    after,
                })
            }
        }
    }
}

fn refused<T, E>(rejected: Rejected) -> (Result<T, Error<E>>, RetryDecision) {
    let error = Error::Rejected(rejected);
    let decision = retry_guarded(&error, |_| RetryDecision::Stop);
    (Err(error), decision)
}

/// What the result of an attempt means to breaker and retry.
fn judge<T, E, V: Into<Verdict>>(
    result: &Result<T, Error<E>>,
    classify: impl Fn(Result<&T, &E>) -> V,
) -> Verdict {
    match result {
        Ok(value) => classify(Ok(value)).into(),
        Err(Error::Inner(error)) => classify(Err(error)).into(),
        Err(Error::Timeout { .. }) => Verdict::failure(),
        Err(error) => Verdict::ignore().with_retry(retry_guarded(error, |_| RetryDecision::Stop)),
    }
}
