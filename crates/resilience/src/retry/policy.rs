//! The retry policy itself; it needs tokio to wait.

use std::{future::Future, sync::Arc, time::Duration};

use super::{
    Attempt, Jitter, RetryBudget, RetryConfig, RetryDecision,
    config::{pack, unpack},
    decide,
};
use crate::{
    ConfigError, Deadline, Error, Name,
    observer::{SharedObserver, Watch},
    random::Random,
    sync::Settings,
};

/// Describes a [`Retry`] policy.
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build"]
pub struct RetryBuilder {
    name: Name,
    config: RetryConfig,
    seed: Option<u64>,
    budget: Option<RetryBudget>,
    observer: Watch,
}

impl RetryBuilder {
    /// The name that events carry. Default: `retry`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Takes all settings from `config`.
    pub fn config(mut self, config: RetryConfig) -> Self {
        self.config = config;
        self
    }

    /// Attempts in all, the first included. Default: 3.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.config.max_attempts = attempts;
        self
    }

    /// Waits that start at `base` and double up to `longest`. Default: 50 ms to
    /// 5 s.
    pub fn exponential(mut self, base: Duration, longest: Duration) -> Self {
        self.config.base = base;
        self.config.longest = longest;
        self
    }

    /// How the waits are spread. Default: full jitter.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.config.jitter = jitter;
        self
    }

    /// The longest wait that the other side may ask for; a longer one ends the
    /// attempts. Default: 30 s.
    pub fn longest_asked(mut self, longest: Duration) -> Self {
        self.config.longest_asked = longest;
        self
    }

    /// Makes the waits the same in every run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Bounds the retries of all calls together.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Tells `observer` of every retry.
    pub fn observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn build(self) -> Result<Retry, ConfigError> {
        self.config.validate()?;
        let random = self.seed.map_or_else(Random::from_entropy, Random::seeded);
        Ok(Retry {
            inner: Arc::new(Inner {
                name: self.name,
                config: Settings::new(pack(&self.config)),
                random: Arc::new(random),
                budget: self.budget,
                observer: self.observer,
            }),
        })
    }
}

/// A retry policy: exponential waits with jitter, a limit of attempts, a
/// budget. Cheap to clone.
///
/// ```
/// # use std::time::Duration;
/// use mainstay_resilience::{Retry, RetryDecision};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let retry = Retry::builder()
///     .max_attempts(3)
///     .exponential(Duration::from_millis(1), Duration::from_millis(10))
///     .build()?;
/// let answer = retry
///     .run(
///         |_error: &&str| RetryDecision::Retry,
///         |attempt| async move {
///             if attempt.number() < 3 { Err("not yet") } else { Ok(attempt.number()) }
///         },
///     )
///     .await;
/// assert_eq!(answer, Ok(3));
/// # Ok(())
/// # }
/// ```
///
/// Exactly one layer should retry a call: three layers of three attempts make
/// 27 calls of one.
#[derive(Debug, Clone)]
pub struct Retry {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) name: Name,
    pub(super) config: Settings<5>,
    pub(super) random: Arc<Random>,
    pub(super) budget: Option<RetryBudget>,
    pub(super) observer: Watch,
}

impl Retry {
    /// Starts to describe a policy.
    pub fn builder() -> RetryBuilder {
        RetryBuilder {
            name: Name::literal("retry"),
            config: RetryConfig::default(),
            seed: None,
            budget: None,
            observer: Watch::default(),
        }
    }

    /// The name that events carry.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The settings in force.
    pub fn config(&self) -> RetryConfig {
        unpack(self.inner.config.load())
    }

    /// Changes the settings for calls that begin from now on; the budget stays.
    ///
    /// # Errors
    /// Names the first setting that makes no sense; the old ones stay then.
    pub fn reconfigure(&self, config: &RetryConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.inner.config.store(pack(config));
        Ok(())
    }

    /// Calls `operation` until it succeeds, `classify` says stop, or attempts
    /// or budget are used up.
    ///
    /// # Errors
    /// The operation's last error.
    pub async fn run<T, E, Fut>(
        &self,
        classify: impl Fn(&E) -> RetryDecision,
        operation: impl FnMut(Attempt) -> Fut,
    ) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        self.run_within(Deadline::never(), classify, operation)
            .await
    }

    /// The same within `deadline`: an attempt that could not begin before it is
    /// not waited for. An attempt under way is not cut short; put a timeout
    /// inside that uses [`Attempt::remaining`].
    ///
    /// # Errors
    /// The operation's last error.
    pub async fn run_within<T, E, Fut>(
        &self,
        deadline: Deadline,
        classify: impl Fn(&E) -> RetryDecision,
        operation: impl FnMut(Attempt) -> Fut,
    ) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        let decide = |result: &Result<T, E>| match result {
            Ok(_) => RetryDecision::Stop,
            Err(error) => classify(error),
        };
        self.attempts(deadline, decide, operation).await
    }

    /// The same for operations that other policies guard already. A timeout is
    /// tried again; a refusal only when its `retry_after` fits the deadline;
    /// `classify` decides about the operation's own errors.
    ///
    /// # Errors
    /// The last error, without nesting.
    pub async fn around<T, E, Fut>(
        &self,
        deadline: Deadline,
        classify: impl Fn(&E) -> RetryDecision,
        operation: impl FnMut(Attempt) -> Fut,
    ) -> Result<T, Error<E>>
    where
        Fut: Future<Output = Result<T, Error<E>>>,
    {
        self.run_within(deadline, |error| decide(error, &classify), operation)
            .await
    }

    /// The loop behind every form: `decide` sees the whole result, so that a
    /// value may be worth another attempt too.
    async fn attempts<R, Fut>(
        &self,
        deadline: Deadline,
        decide: impl Fn(&R) -> RetryDecision,
        mut operation: impl FnMut(Attempt) -> Fut,
    ) -> R
    where
        Fut: Future<Output = R>,
    {
        let mut session = self.session(deadline);
        loop {
            let result = operation(session.attempt()).await;
            let Some(delay) = session.next(decide(&result)) else {
                return result;
            };
            drop(result);
            tokio::time::sleep(delay).await;
        }
    }
}
