//! A pipeline's settings as data, and how they are exchanged while it runs.

use std::time::Duration;

use super::{BREAKER, BULKHEAD, Pipeline, RATE_LIMIT, RETRY};
use crate::{
    BreakerConfig, Bulkhead, CircuitBreaker, ConfigError, Name, Quota, RateLimiter, Retry,
    RetryConfig, SharedObserver, error::check, sync::nanos,
};

/// The settings of a [`Pipeline`]. What is absent is not in use.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct PipelineConfig {
    /// Bounds the whole call.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration::optional"))]
    pub deadline: Option<Duration>,
    /// Bounds each attempt.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration::optional"))]
    pub attempt_timeout: Option<Duration>,
    /// Tries again.
    pub retry: Option<RetryConfig>,
    /// The circuit breaker.
    pub breaker: Option<BreakerConfig>,
    /// Limits the rate of attempts.
    pub rate_limit: Option<RateLimitConfig>,
    /// Limits the attempts in flight.
    pub bulkhead: Option<BulkheadConfig>,
}

/// The settings of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct RateLimitConfig {
    /// Calls in each period.
    pub calls: u32,
    /// The period.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub period: Duration,
    /// Calls that may come at once. Default: a whole period's.
    #[cfg_attr(feature = "serde", serde(default))]
    pub burst: Option<u32>,
}

impl RateLimitConfig {
    /// The same as a quota.
    pub fn quota(&self) -> Quota {
        Quota::per(self.period, self.calls).burst(self.burst.unwrap_or(self.calls))
    }
}

/// The settings of a bulkhead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct BulkheadConfig {
    /// Calls at once.
    pub max: u32,
    /// Callers that may wait. Default: none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub queue: u32,
    /// How long they may wait. Default: zero, which goes with no queue.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::duration"))]
    pub wait: Duration,
}

impl PipelineConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        validate_times(self.deadline, self.attempt_timeout)?;
        if let Some(retry) = &self.retry {
            retry.validate()?;
        }
        if let Some(breaker) = &self.breaker {
            breaker.validate()?;
        }
        if let Some(limit) = &self.rate_limit {
            limit.quota().validate()?;
        }
        if let Some(bulkhead) = &self.bulkhead {
            crate::bulkhead::validate(bulkhead.max, bulkhead.queue, bulkhead.wait)?;
        }
        Ok(())
    }
}

pub(super) fn validate_times(
    deadline: Option<Duration>,
    attempt_timeout: Option<Duration>,
) -> Result<(), ConfigError> {
    if let Some(deadline) = deadline {
        check::positive("deadline", deadline)?;
    }
    if let Some(timeout) = attempt_timeout {
        check::positive("attempt_timeout", timeout)?;
        if deadline.is_some_and(|deadline| timeout > deadline) {
            return Err(ConfigError::new(
                "attempt_timeout",
                "must be at most the deadline",
            ));
        }
    }
    Ok(())
}

impl Pipeline {
    /// A pipeline of policies that are all its own.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn from_config(
        name: impl Into<Name>,
        config: &PipelineConfig,
        observer: Option<SharedObserver>,
    ) -> Result<Self, ConfigError> {
        let mut builder = Self::standard(name);
        if let Some(observer) = observer {
            builder = builder.observer(observer);
        }
        let pipeline = builder.build()?;
        pipeline.reconfigure(config)?;
        Ok(pipeline)
    }

    /// Changes the settings while the pipeline is in use. Nothing changes when
    /// one of them makes no sense. Policies keep what they have learned; one
    /// that is no longer mentioned is not used, and keeps it as well.
    ///
    /// Calls under way go on with the settings that they began with.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn reconfigure(&self, config: &PipelineConfig) -> Result<(), ConfigError> {
        config.validate()?;
        let mut parts = 0;
        if let Some(retry) = &config.retry {
            self.reconfigure_retry(retry)?;
            parts |= RETRY;
        }
        if let Some(breaker) = &config.breaker {
            self.reconfigure_breaker(breaker)?;
            parts |= BREAKER;
        }
        if let Some(limit) = &config.rate_limit {
            self.reconfigure_rate_limit(limit)?;
            parts |= RATE_LIMIT;
        }
        if let Some(bulkhead) = &config.bulkhead {
            self.reconfigure_bulkhead(bulkhead)?;
            parts |= BULKHEAD;
        }
        self.inner.settings.store([
            config.deadline.map_or(u64::MAX, nanos),
            config.attempt_timeout.map_or(u64::MAX, nanos),
            parts,
        ]);
        Ok(())
    }

    fn reconfigure_retry(&self, config: &RetryConfig) -> Result<(), ConfigError> {
        if let Some(retry) = self.inner.retry.get() {
            return retry.reconfigure(config);
        }
        let mut builder = Retry::builder()
            .name(&self.inner.name)
            .config(config.clone());
        if let Some(observer) = &self.inner.observer.0 {
            builder = builder.observer(observer.clone());
        }
        let made = builder.build()?;
        self.inner.retry.get_or_init(|| made).reconfigure(config)
    }

    fn reconfigure_breaker(&self, config: &BreakerConfig) -> Result<(), ConfigError> {
        if let Some(breaker) = self.inner.breaker.get() {
            return breaker.reconfigure(config);
        }
        let mut builder = CircuitBreaker::builder(&self.inner.name).config(config.clone());
        if let Some(observer) = &self.inner.observer.0 {
            builder = builder.observer(observer.clone());
        }
        let made = builder.build()?;
        self.inner.breaker.get_or_init(|| made).reconfigure(config)
    }

    fn reconfigure_rate_limit(&self, config: &RateLimitConfig) -> Result<(), ConfigError> {
        let quota = config.quota();
        if let Some(limiter) = self.inner.rate_limit.get() {
            return limiter.reconfigure(quota);
        }
        let mut made = RateLimiter::new(&self.inner.name, quota)?;
        if let Some(observer) = &self.inner.observer.0 {
            made = made.with_observer(observer.clone());
        }
        self.inner
            .rate_limit
            .get_or_init(|| made)
            .reconfigure(quota)
    }

    fn reconfigure_bulkhead(&self, config: &BulkheadConfig) -> Result<(), ConfigError> {
        let BulkheadConfig { max, queue, wait } = *config;
        if let Some(bulkhead) = self.inner.bulkhead.get() {
            return bulkhead.reconfigure(max, queue, wait);
        }
        let mut made = Bulkhead::new(&self.inner.name, max, queue, wait)?;
        if let Some(observer) = &self.inner.observer.0 {
            made = made.with_observer(observer.clone());
        }
        self.inner
            .bulkhead
            .get_or_init(|| made)
            .reconfigure(max, queue, wait)
    }
}
