//! The retry policy itself; it needs tokio to wait.

use std::{future::Future, sync::Arc, time::Duration};

use super::{Backoff, InFlight, Jitter, RetryBudget, RetryDecision, RetryGrant, decide};
use crate::{
    ConfigError, Deadline, Error, Name, SharedClock, TokioClock, clock,
    error::check,
    observer::{Event, SharedObserver, Watch},
    random::Random,
    sync::{Settings, nanos},
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
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub base: Duration,
    /// The longest wait of the policy's own. Default: 5 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub longest: Duration,
    /// How the waits are spread. Default: full jitter.
    pub jitter: Jitter,
    /// The longest wait that the other side may ask for; a longer one ends the
    /// attempts. Default: 30 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub longest_asked: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            base: Duration::from_millis(50),
            longest: Duration::from_secs(5),
            jitter: Jitter::Full,
            longest_asked: Duration::from_secs(30),
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
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: Name,
    config: Settings<5>,
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

fn pack(config: &RetryConfig) -> [u64; 5] {
    let jitter = match config.jitter {
        Jitter::None => 0,
        Jitter::Full => 1,
        Jitter::Decorrelated => 2,
    };
    [
        config.max_attempts.into(),
        nanos(config.base),
        nanos(config.longest),
        jitter,
        nanos(config.longest_asked),
    ]
}

fn unpack([attempts, base, longest, jitter, asked]: [u64; 5]) -> RetryConfig {
    RetryConfig {
        max_attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        base: Duration::from_nanos(base),
        longest: Duration::from_nanos(longest),
        jitter: match jitter {
            0 => Jitter::None,
            1 => Jitter::Full,
            _ => Jitter::Decorrelated,
        },
        longest_asked: Duration::from_nanos(asked),
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
