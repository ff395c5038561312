//! Policies as tower layers.
//!
//! Each layer holds a handle, so that all services made with it, and all their
//! clones, share one breaker, one limit, one bulkhead.
//!
//! The services are always ready, and wait for the inner service's readiness
//! inside the guarded call: a slot that the inner service reserves is never
//! held while the call waits for a permit, and a retry asks for readiness anew.
//! Where load has to be refused at once, give the bulkhead no queue.

mod guard;
mod retry;

pub use guard::{FlatLayer, Guard, GuardLayer, Guarded, GuardedFlat};
pub use retry::{ByResult, Classify, PipelineLayer, PipelineService};

use std::future::{Future, poll_fn};

use tower_service::Service;

use crate::{
    AdaptiveLimit, Bulkhead, CircuitBreaker, Error, Pipeline, RateLimiter, Throttle, Timeout,
};

/// The future of a guarded service: one box for all policies.
pub type GuardedFuture<T, E> =
    std::pin::Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'static>>;

/// Waits until the service is ready and calls it.
async fn call<S: Service<R>, R>(mut service: S, request: R) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

macro_rules! guards {
    ($($policy:ident: $doc:literal),* $(,)?) => {$(
        impl Guard for $policy {
            async fn guard<T, E, F>(&self, future: F) -> Result<T, Error<E>>
            where
                T: Send,
                E: Send,
                F: Future<Output = Result<T, Error<E>>> + Send,
            {
                self.around(future).await
            }
        }

        impl $policy {
            #[doc = $doc]
            pub fn layer(&self) -> GuardLayer<Self> {
                GuardLayer::new(self.clone())
            }
        }
    )*};
}

guards! {
    CircuitBreaker: "This breaker as a tower layer. `Err` counts as a failure.",
    Timeout: "This time limit as a tower layer.",
    Bulkhead: "This bulkhead as a tower layer.",
    RateLimiter: "This rate limit as a tower layer.",
    AdaptiveLimit: "This limit as a tower layer. `Err` counts as a failure.",
    Throttle: "This throttle as a tower layer. `Err` counts as not accepted.",
}

impl Pipeline {
    /// This pipeline as a tower layer, for requests that can be cloned: each
    /// attempt sends a copy.
    pub fn layer(&self) -> PipelineLayer {
        PipelineLayer::new(self.clone())
    }
}
