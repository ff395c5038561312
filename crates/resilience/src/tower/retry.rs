//! The layer of a pipeline, which may send a request several times.

use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{GuardedFuture, call};
use crate::{Deadline, Error, Pipeline, Verdict};

/// Puts a pipeline around services; `C` classifies their results.
#[derive(Debug, Clone)]
pub struct PipelineLayer<C = ByResult> {
    pipeline: Pipeline,
    classify: C,
}

/// Classifies `Ok` as a success and `Err` as a failure.
#[derive(Debug, Clone, Copy)]
pub struct ByResult;

/// Says what the result of a service means. Functions and closures do.
pub trait Classify<T, E>: Clone + Send + Sync + 'static {
    /// What the result means.
    fn classify(&self, result: Result<&T, &E>) -> Verdict;
}

impl<T, E> Classify<T, E> for ByResult {
    fn classify(&self, result: Result<&T, &E>) -> Verdict {
        Verdict::of(result)
    }
}

impl<T, E, V, C> Classify<T, E> for C
where
    C: Fn(Result<&T, &E>) -> V + Clone + Send + Sync + 'static,
    V: Into<Verdict>,
{
    fn classify(&self, result: Result<&T, &E>) -> Verdict {
        self(result).into()
    }
}

impl PipelineLayer {
    pub(super) fn new(pipeline: Pipeline) -> Self {
        Self {
            pipeline,
            classify: ByResult,
        }
    }

    /// Classifies results with `classify`; a 503, for instance, is `Ok` to an
    /// HTTP client and yet a failure.
    pub fn classify<C>(self, classify: C) -> PipelineLayer<C> {
        PipelineLayer {
            pipeline: self.pipeline,
            classify,
        }
    }
}

impl<S, C: Clone> Layer<S> for PipelineLayer<C> {
    type Service = PipelineService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        PipelineService {
            inner,
            pipeline: self.pipeline.clone(),
            classify: self.classify.clone(),
        }
    }
}

/// A service under a pipeline.
#[derive(Debug, Clone)]
pub struct PipelineService<S, C = ByResult> {
    inner: S,
    pipeline: Pipeline,
    classify: C,
}

impl<S, R, C> Service<R> for PipelineService<S, C>
where
    S: Service<R> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    R: Clone + Send + Sync + 'static,
    C: Classify<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = GuardedFuture<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Self {
            inner,
            pipeline,
            classify,
        } = self.clone();
        Box::pin(async move {
            let classify = |result: Result<&S::Response, &S::Error>| classify.classify(result);
            pipeline
                .run_within(Deadline::never(), classify, |_| {
                    call(inner.clone(), request.clone())
                })
                .await
        })
    }
}
