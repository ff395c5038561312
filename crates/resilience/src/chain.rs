//! One answer from the first of several places that has it.

use std::{fmt, future::Future, pin::Pin};

use crate::{
    ConfigError, Error, Name,
    observer::{Event, SharedObserver, Watch},
};

/// What a step of a chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// The answer.
    Hit(T),
    /// No answer here, and nothing wrong with that.
    Miss,
}

impl<T> From<Option<T>> for Found<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Miss, Self::Hit)
    }
}

/// What became of a step that did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepOutcome<E> {
    /// It had no answer.
    Miss,
    /// It failed.
    Failed(Error<E>),
}

/// A step that did not answer, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Earlier<E> {
    /// The name of the step.
    pub step: Name,
    /// What became of it.
    pub outcome: StepOutcome<E>,
}

type StepFuture<'a, T, E> = Pin<Box<dyn Future<Output = Result<Found<T>, Error<E>>> + Send + 'a>>;

/// An ordered list of steps that may answer: asked one after another until one
/// does.
///
/// The steps are futures, so that they may borrow what they need and are not
/// begun before their turn. A step may carry policies of its own: give it a
/// future that [`CircuitBreaker::run`](crate::CircuitBreaker::run) or a timeout
/// has wrapped, with [`guarded`](Self::guarded).
///
/// ```
/// use mainstay_resilience::Chain;
///
/// # async fn cache_lookup() -> Result<Option<String>, std::io::Error> { Ok(None) }
/// # async fn database_query() -> Result<Option<String>, std::io::Error> { Ok(Some("from db".into())) }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let answer = Chain::new("greeting")
///     .step("cache", cache_lookup())
///     .step("database", database_query())
///     .default(|| "hello".to_owned())
///     .run()
///     .await
///     .expect("a chain with a default always answers");
/// assert_eq!(answer.source(), "database");
/// assert_eq!(answer.earlier().len(), 1);
/// assert_eq!(answer.into_value(), "from db");
/// # }
/// ```
#[must_use = "a chain does nothing before run"]
pub struct Chain<'a, T, E> {
    name: Name,
    steps: Vec<(Name, StepFuture<'a, T, E>)>,
    default: Option<Box<dyn FnOnce() -> T + Send + 'a>>,
    observer: Watch,
}

impl<'a, T, E> Chain<'a, T, E> {
    /// A chain without steps.
    pub fn new(name: impl Into<Name>) -> Self {
        Self {
            name: name.into(),
            steps: Vec::new(),
            default: None,
            observer: Watch::default(),
        }
    }

    /// Asks `future` next; `None` is a miss.
    pub fn step<A>(
        self,
        name: impl Into<Name>,
        future: impl Future<Output = Result<A, E>> + Send + 'a,
    ) -> Self
    where
        A: Into<Found<T>>,
    {
        self.guarded(name, async { future.await.map_err(Error::Inner) })
    }

    /// Asks `future` next, which policies guard already.
    pub fn guarded<A>(
        mut self,
        name: impl Into<Name>,
        future: impl Future<Output = Result<A, Error<E>>> + Send + 'a,
    ) -> Self
    where
        A: Into<Found<T>>,
    {
        let future = async { future.await.map(Into::into) };
        self.steps.push((name.into(), Box::pin(future)));
        self
    }

    /// Answers with this when no step does; the source is then called `default`.
    pub fn default(mut self, value: impl FnOnce() -> T + Send + 'a) -> Self {
        self.default = Some(Box::new(value));
        self
    }

    /// Tells `observer` when a later step answers, or none.
    pub fn observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// Asks the steps in turn.
    ///
    /// # Errors
    /// When no step answers and there is no default: what became of each.
    pub async fn run(self) -> Result<Answer<T, E>, NoAnswer<E>> {
        let mut earlier = Vec::new();
        if self.steps.is_empty() && self.default.is_none() {
            return Err(NoAnswer {
                earlier,
                empty: true,
            });
        }
        for (step, future) in self.steps {
            let outcome = match future.await {
                Ok(Found::Hit(value)) => {
                    if !earlier.is_empty() {
                        self.observer.emit(&Event::Fallback {
                            by: &self.name,
                            step: Some(&step),
                        });
                    }
                    return Ok(Answer {
                        value,
                        source: step,
                        earlier,
                    });
                }
                Ok(Found::Miss) => StepOutcome::Miss,
                Err(error) => StepOutcome::Failed(error),
            };
            earlier.push(Earlier { step, outcome });
        }
        let source = Name::literal("default");
        self.observer.emit(&Event::Fallback {
            by: &self.name,
            step: self.default.as_ref().map(|_| source.as_str()),
        });
        match self.default {
            Some(value) => Ok(Answer {
                value: value(),
                source,
                earlier,
            }),
            None => Err(NoAnswer {
                earlier,
                empty: false,
            }),
        }
    }
}

impl<T, E> fmt::Debug for Chain<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<_> = self.steps.iter().map(|(name, _)| name).collect();
        f.debug_struct("Chain")
            .field("name", &self.name)
            .field("steps", &steps)
            .field("default", &self.default.is_some())
            .finish()
    }
}

/// An answer, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T, E> {
    value: T,
    source: Name,
    earlier: Vec<Earlier<E>>,
}

impl<T, E> Answer<T, E> {
    /// The answer.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The answer, by value.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The name of the step that answered, or `default`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The steps that were asked before and did not answer, in order.
    pub fn earlier(&self) -> &[Earlier<E>] {
        &self.earlier
    }

    /// Whether any step failed on the way here; misses are no failures.
    pub fn is_degraded(&self) -> bool {
        self.earlier
            .iter()
            .any(|earlier| matches!(earlier.outcome, StepOutcome::Failed(_)))
    }

    /// All three parts.
    pub fn into_parts(self) -> (T, Name, Vec<Earlier<E>>) {
        (self.value, self.source, self.earlier)
    }
}

/// No step of a chain answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer<E> {
    earlier: Vec<Earlier<E>>,
    empty: bool,
}

impl<E> NoAnswer<E> {
    /// What became of each step.
    pub fn earlier(&self) -> &[Earlier<E>] {
        &self.earlier
    }

    /// The configuration error, when the chain had neither step nor default.
    pub fn config_error(&self) -> Option<ConfigError> {
        self.empty
            .then(|| ConfigError::new("steps", "must hold at least one step or a default"))
    }

    /// The error of the last step that failed.
    pub fn into_last_error(self) -> Option<Error<E>> {
        self.earlier
            .into_iter()
            .rev()
            .find_map(|earlier| match earlier.outcome {
                StepOutcome::Failed(error) => Some(error),
                StepOutcome::Miss => None,
            })
    }
}

impl<E: fmt::Display> fmt::Display for NoAnswer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = self.config_error() {
            return error.fmt(f);
        }
        f.write_str("no step answered")?;
        for earlier in &self.earlier {
            match &earlier.outcome {
                StepOutcome::Miss => write!(f, "; {}: nothing found", earlier.step)?,
                StepOutcome::Failed(error) => write!(f, "; {}: {error}", earlier.step)?,
            }
        }
        Ok(())
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for NoAnswer<E> {}
