//! A future that answers with the flat error.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::Error;

pin_project! {
    /// Answers with [`Error::Inner`] where the future answers with an error of
    /// its own.
    #[derive(Debug, Clone)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Flat<F> {
        #[pin]
        future: F,
    }
}

impl<F> Flat<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future }
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Future for Flat<F> {
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.project().future.poll(cx));
        Poll::Ready(result.map_err(Error::Inner))
    }
}
