//! Putting a pipeline together.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{BREAKER, BULKHEAD, Inner, Pipeline, RATE_LIMIT, RETRY, config};
use crate::{
    Bulkhead, CircuitBreaker, ConfigError, Name, RateLimiter, Retry, SharedObserver,
    observer::Watch,
    sync::{Settings, nanos},
};

/// Describes a [`Pipeline`]. The order of the calls does not matter.
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build"]
pub struct PipelineBuilder {
    name: Name,
    deadline: Option<Duration>,
    retry: Option<Retry>,
    breaker: Option<CircuitBreaker>,
    rate_limit: Option<RateLimiter>,
    bulkhead: Option<Bulkhead>,
    attempt_timeout: Option<Duration>,
    observer: Watch,
}

impl PipelineBuilder {
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            deadline: None,
            retry: None,
            breaker: None,
            rate_limit: None,
            bulkhead: None,
            attempt_timeout: None,
            observer: Watch::default(),
        }
    }

    /// Bounds the whole call. Default: none.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Tries again. Default: one attempt.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Puts a breaker around each attempt. Default: none.
    pub fn breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Limits the rate of attempts. Default: none.
    pub fn rate_limit(mut self, limiter: RateLimiter) -> Self {
        self.rate_limit = Some(limiter);
        self
    }

    /// Limits the attempts in flight. Default: none.
    pub fn bulkhead(mut self, bulkhead: Bulkhead) -> Self {
        self.bulkhead = Some(bulkhead);
        self
    }

    /// Bounds each attempt, after it got its permit. Default: what remains of
    /// the deadline.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Tells `observer` of timeouts, fallbacks and expired deadlines. The
    /// policies within have observers of their own.
    pub fn observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    /// When a duration is zero, or the attempt timeout exceeds the deadline.
    pub fn build(self) -> Result<Pipeline, ConfigError> {
        config::validate_times(self.deadline, self.attempt_timeout)?;
        let parts = [
            (self.retry.is_some(), RETRY),
            (self.breaker.is_some(), BREAKER),
            (self.rate_limit.is_some(), RATE_LIMIT),
            (self.bulkhead.is_some(), BULKHEAD),
        ];
        let parts = parts
            .iter()
            .filter(|(used, _)| *used)
            .map(|(_, bit)| bit)
            .sum();
        Ok(Pipeline {
            inner: Arc::new(Inner {
                name: self.name,
                settings: Settings::new([
                    self.deadline.map_or(u64::MAX, nanos),
                    self.attempt_timeout.map_or(u64::MAX, nanos),
                    parts,
                ]),
                retry: once(self.retry),
                breaker: once(self.breaker),
                rate_limit: once(self.rate_limit),
                bulkhead: once(self.bulkhead),
                observer: self.observer,
            }),
        })
    }
}

fn once<T>(value: Option<T>) -> OnceLock<T> {
    value.map_or_else(OnceLock::new, OnceLock::from)
}
