//! The retry policy itself; it needs tokio to wait.

use std::{future::Future, sync::Arc, time::Duration};

use super::{Backoff, Jitter, RetryBudget, RetryDecision, RetryGrant, decide};
use crate::{
    ConfigError, Deadline, Error, Name, SharedClock, TokioClock, clock,
    error::check,
    observer::{Event, SharedObserver, Watch},
    random::Random,
};

/// The settings of a retry policy.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct RetryConfig {
    /// Attempts in all, the first included. Default: 3.
    pub max_attempts: u32,
    /// The first wait. Default: 50 ms.
    pub base: Duration,
    /// The longest wait of the policy's own. Default: 5 s.
    pub longest: Duration,
    /// How the waits are spread. Default: full jitter.
    pub jitter: Jitter,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            base: Duration::from_millis(50),
            longest: Duration::from_secs(5),
            jitter: Jitter::Full,
        }
    }
}

impl RetryConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::at_least_one("max_attempts", self.max_attempts.into())?;
        Backoff::new(self.base, self.longest).map(|_| ())
    }
}

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
                config: self.config,
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
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: Name,
    config: RetryConfig,
    random: Arc<Random>,
    budget: Option<RetryBudget>,
    observer: Watch,
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

    /// The settings.
    pub fn config(&self) -> &RetryConfig {
        &self.inner.config
    }

    /// The same policy, its budget included, with other settings.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn with_config(&self, config: RetryConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            inner: Arc::new(Inner {
                name: self.inner.name.clone(),
                config,
                random: Arc::clone(&self.inner.random),
                budget: self.inner.budget.clone(),
                observer: self.inner.observer.clone(),
            }),
        })
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
    pub(crate) async fn attempts<R, Fut>(
        &self,
        deadline: Deadline,
        decide: impl Fn(&R) -> RetryDecision,
        mut operation: impl FnMut(Attempt) -> Fut,
    ) -> R
    where
        Fut: Future<Output = R>,
    {
        let inner = &*self.inner;
        let _in_flight = inner.budget.as_ref().map(RetryBudget::call);
        // A retry stays in the budget's count of retries under way for as long
        // as it runs.
        let mut grant: Option<RetryGrant> = None;
        let mut backoff: Option<Backoff> = None;
        let mut number = 1;
        loop {
            if let Some(grant) = &mut grant {
                grant.spend();
            }
            let result = operation(Attempt { number, deadline }).await;
            drop(grant.take());
            let asked = match decide(&result) {
                RetryDecision::Stop => return result,
                RetryDecision::Retry => Duration::ZERO,
                RetryDecision::RetryAfter(wait) => wait,
            };
            if number >= inner.config.max_attempts {
                return result;
            }
            let Ok(waits) = inner.backoff(&mut backoff) else {
                return result;
            };
            let delay = waits.next_delay().max(asked);
            if !deadline.is_never() && delay >= deadline.remaining(&TokioClock) {
                return result;
            }
            if let Some(budget) = &inner.budget {
                grant = budget.try_retry();
                if grant.is_none() {
                    inner
                        .observer
                        .emit(&Event::BudgetExhausted { by: &inner.name });
                    return result;
                }
            }
            number += 1;
            inner.observer.emit(&Event::Retry {
                by: &inner.name,
                attempt: number,
                delay,
            });
            drop(result);
            tokio::time::sleep(delay).await;
        }
    }
}

impl Inner {
    /// The waits of one call, made when the first is needed.
    fn backoff<'a>(&self, waits: &'a mut Option<Backoff>) -> Result<&'a mut Backoff, ConfigError> {
        let made = match waits.take() {
            Some(made) => made,
            None => Backoff::new(self.config.base, self.config.longest)?
                .jitter(self.config.jitter)
                .random(Arc::clone(&self.random)),
        };
        Ok(waits.insert(made))
    }
}

/// One attempt of a call.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    number: u32,
    deadline: Deadline,
}

impl Attempt {
    pub(crate) fn first(deadline: Deadline) -> Self {
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
