//! What the expansions of the attribute macros call. Not for use by hand.

use std::{future::Future, pin::pin, time::Duration};

use crate::{Error, Name, timeout::limit};

/// An argument of a `#[resilient]` function: each attempt gets a clone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not `Clone`, and a `#[resilient]` function may be called several times",
    label = "each attempt needs its own copy of this argument",
    note = "take it by reference, wrap it in an `Arc`, or derive `Clone`"
)]
pub trait Argument: Sized {
    /// A copy for one attempt.
    fn copy(&self) -> Self;
}

impl<T: Clone> Argument for T {
    fn copy(&self) -> Self {
        self.clone()
    }
}

/// Clones an argument for one attempt.
pub fn clone_argument<T: Argument>(argument: &T) -> T {
    argument.copy()
}

/// Runs a function's body for at most `duration`.
pub async fn timeout<T, E>(
    name: &'static str,
    duration: Duration,
    body: impl Future<Output = Result<T, Error<E>>>,
) -> Result<T, Error<E>> {
    let body = pin!(body);
    match limit(duration, body).await {
        Some(result) => result,
        None => Err(Error::Timeout {
            by: Name::literal(name),
            after: duration,
        }),
    }
}
