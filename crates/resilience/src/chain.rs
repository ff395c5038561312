//! One answer from the first of several places that has it.

use std::{
    fmt,
    future::{Future, poll_fn},
    marker::PhantomData,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{
    ConfigError, Error, Name,
    flat::Flat,
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

/// An ordered list of steps that may answer: asked one after another until one
/// does.
///
/// The steps are futures, so that they may borrow what they need and are not
/// begun before their turn; nothing is boxed, and the chain is `Send` when its
/// steps are. A step may carry policies of its own: give it a future that
/// [`CircuitBreaker::run`](crate::CircuitBreaker::run) or a timeout has wrapped,
/// with [`guarded`](Self::guarded).
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
pub struct Chain<T, E, S = NoSteps> {
    name: Name,
    steps: S,
    observer: Watch,
    /// What the steps answer with.
    answers: PhantomData<fn() -> Result<T, E>>,
}

/// The steps of a chain, in order. Implemented by what [`Chain::step`] and its
/// like make of them.
pub trait Steps<T, E>: sealed::Sealed {
    /// Whether there are none.
    const EMPTY: bool;

    /// Asks the steps in turn, and notes in `earlier` what became of those that
    /// did not answer. Not to be polled again once it is ready.
    fn poll_ask(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        earlier: &mut Vec<Earlier<E>>,
    ) -> Poll<Option<(T, Name)>>;
}

mod sealed {
    /// Only this crate makes steps.
    pub trait Sealed {}
}

/// The steps of a chain that has none yet.
#[derive(Debug, Clone, Copy)]
pub struct NoSteps;

pin_project! {
    /// One more step after others.
    #[derive(Debug, Clone)]
    pub struct Then<S, F> {
        #[pin]
        before: S,
        // Whether those before have been asked in vain.
        reached: bool,
        name: Name,
        #[pin]
        future: F,
    }
}

pin_project! {
    /// The answer when no step has one.
    #[derive(Debug, Clone)]
    pub struct OrDefault<S, D> {
        #[pin]
        before: S,
        value: Option<D>,
    }
}

impl sealed::Sealed for NoSteps {}
impl<S, F> sealed::Sealed for Then<S, F> {}
impl<S, D> sealed::Sealed for OrDefault<S, D> {}

// Written as polls and not as async functions: those of a trait make spawned
// chains fail to compile ("implementation of `From` is not general enough").
impl<T, E> Steps<T, E> for NoSteps {
    const EMPTY: bool = true;

    fn poll_ask(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut Vec<Earlier<E>>,
    ) -> Poll<Option<(T, Name)>> {
        Poll::Ready(None)
    }
}

impl<T, E, S, F, A> Steps<T, E> for Then<S, F>
where
    S: Steps<T, E>,
    F: Future<Output = Result<A, Error<E>>>,
    A: Into<Found<T>>,
{
    const EMPTY: bool = false;

    fn poll_ask(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        earlier: &mut Vec<Earlier<E>>,
    ) -> Poll<Option<(T, Name)>> {
        let this = self.project();
        if !*this.reached {
            if let Some(answer) = ready!(this.before.poll_ask(cx, earlier)) {
                return Poll::Ready(Some(answer));
            }
            *this.reached = true;
        }
        let outcome = match ready!(this.future.poll(cx)).map(Into::into) {
            Ok(Found::Hit(value)) => return Poll::Ready(Some((value, this.name.clone()))),
            Ok(Found::Miss) => StepOutcome::Miss,
            Err(error) => StepOutcome::Failed(error),
        };
        earlier.push(Earlier {
            step: this.name.clone(),
            outcome,
        });
        Poll::Ready(None)
    }
}

impl<T, E, S, D> Steps<T, E> for OrDefault<S, D>
where
    S: Steps<T, E>,
    D: FnOnce() -> T,
{
    const EMPTY: bool = false;

    fn poll_ask(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        earlier: &mut Vec<Earlier<E>>,
    ) -> Poll<Option<(T, Name)>> {
        let this = self.project();
        let answer = ready!(this.before.poll_ask(cx, earlier));
        Poll::Ready(answer.or_else(|| {
            let value = this.value.take()?;
            Some((value(), Name::literal("default")))
        }))
    }
}

impl<T, E> Chain<T, E> {
    /// A chain without steps.
    pub fn new(name: impl Into<Name>) -> Self {
        Self {
            name: name.into(),
            steps: NoSteps,
            observer: Watch::default(),
            answers: PhantomData,
        }
    }
}

impl<T, E, S: Steps<T, E>> Chain<T, E, S> {
    /// Asks `future` next; `None` is a miss.
    pub fn step<A, F>(self, name: impl Into<Name>, future: F) -> Chain<T, E, Then<S, Flat<F>>>
    where
        F: Future<Output = Result<A, E>>,
        A: Into<Found<T>>,
    {
        self.guarded(name, Flat::new(future))
    }

    /// Asks `future` next, which policies guard already.
    pub fn guarded<A, F>(self, name: impl Into<Name>, future: F) -> Chain<T, E, Then<S, F>>
    where
        F: Future<Output = Result<A, Error<E>>>,
        A: Into<Found<T>>,
    {
        let name = name.into();
        self.with(|before| Then {
            before,
            reached: false,
            name,
            future,
        })
    }

    /// Answers with this when no step does; the source is then called `default`.
    pub fn default<D: FnOnce() -> T>(self, value: D) -> Chain<T, E, OrDefault<S, D>> {
        self.with(|before| OrDefault {
            before,
            value: Some(value),
        })
    }

    fn with<N>(self, add: impl FnOnce(S) -> N) -> Chain<T, E, N> {
        Chain {
            name: self.name,
            steps: add(self.steps),
            observer: self.observer,
            answers: PhantomData,
        }
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
        let mut steps = pin!(self.steps);
        let answer = poll_fn(|cx| steps.as_mut().poll_ask(cx, &mut earlier)).await;
        let step = answer.as_ref().map(|(_, step)| step.as_str());
        if !earlier.is_empty() {
            self.observer.emit(&Event::Fallback {
                by: &self.name,
                step,
            });
        }
        match answer {
            Some((value, source)) => Ok(Answer {
                value,
                source,
                earlier,
            }),
            None => Err(NoAnswer {
                earlier,
                empty: S::EMPTY,
            }),
        }
    }
}

impl<T, E, S> fmt::Debug for Chain<T, E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("name", &self.name)
            .finish_non_exhaustive()
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
