//! Layers of policies that run a call once.

use std::{
    future::Future,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

use super::{GuardedFuture, call};
use crate::Error;

/// A policy that can stand around the call of a service.
pub trait Guard: Clone + Send + Sync + 'static {
    /// Runs `future` under the policy.
    fn guard<T, E, F>(&self, future: F) -> impl Future<Output = Result<T, Error<E>>> + Send
    where
        T: Send,
        E: Send,
        F: Future<Output = Result<T, Error<E>>> + Send;
}

/// Puts a policy around services.
#[derive(Debug, Clone)]
pub struct GuardLayer<G> {
    guard: G,
}

impl<G> GuardLayer<G> {
    pub(super) fn new(guard: G) -> Self {
        Self { guard }
    }

    /// The layer for services whose error is [`Error`] already: it does not
    /// nest another around it. Use it for all but the innermost layer.
    pub fn flat(self) -> FlatLayer<G> {
        FlatLayer { guard: self.guard }
    }
}

impl<S, G: Clone> Layer<S> for GuardLayer<G> {
    type Service = Guarded<S, G>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded {
            inner,
            guard: self.guard.clone(),
        }
    }
}

/// Puts a policy around services that answer with [`Error`].
#[derive(Debug, Clone)]
pub struct FlatLayer<G> {
    guard: G,
}

impl<S, G: Clone> Layer<S> for FlatLayer<G> {
    type Service = GuardedFlat<S, G>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardedFlat {
            inner,
            guard: self.guard.clone(),
        }
    }
}

/// A service under a policy.
#[derive(Debug, Clone)]
pub struct Guarded<S, G> {
    inner: S,
    guard: G,
}

impl<S, G, R> Service<R> for Guarded<S, G>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    R: Send + 'static,
    G: Guard,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = GuardedFuture<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (guard, inner) = (self.guard.clone(), self.inner.clone());
        Box::pin(async move {
            guard
                .guard(async { call(inner, request).await.map_err(Error::Inner) })
                .await
        })
    }
}

/// A service that answers with [`Error`], under one more policy.
#[derive(Debug, Clone)]
pub struct GuardedFlat<S, G> {
    inner: S,
    guard: G,
}

impl<S, G, R, E> Service<R> for GuardedFlat<S, G>
where
    S: Service<R, Error = Error<E>> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    E: Send + 'static,
    R: Send + 'static,
    G: Guard,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = GuardedFuture<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (guard, inner) = (self.guard.clone(), self.inner.clone());
        Box::pin(async move { guard.guard(call(inner, request)).await })
    }
}
