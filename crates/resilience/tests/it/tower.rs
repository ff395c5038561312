//! The tower layers.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use mainstay_resilience::{
    Bulkhead, CircuitBreaker, Error, Outcome, Pipeline, Quota, RateLimiter, RejectedKind, Retry,
    State, Timeout,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{ms, secs};

#[tokio::test]
async fn services_of_one_layer_share_a_breaker() {
    let breaker = CircuitBreaker::builder("http")
        .consecutive_failures(2)
        .build()
        .unwrap();
    let layer = breaker.layer();
    let down = service_fn(|_: ()| async { Err::<(), _>("down") });
    let (first, second) = (layer.layer(down), layer.clone().layer(down));
    assert_eq!(first.clone().oneshot(()).await, Err(Error::Inner("down")));
    assert_eq!(second.oneshot(()).await, Err(Error::Inner("down")));
    assert_eq!(breaker.state(), State::Open);
    assert!(first.oneshot(()).await.unwrap_err().is_rejected());
}

#[tokio::test(start_paused = true)]
async fn stacked_layers_keep_the_error_flat() {
    let limit = RateLimiter::new("http", Quota::per(secs(60), 2)).unwrap();
    let service = ServiceBuilder::new()
        .layer(limit.layer().flat())
        .layer(Timeout::new("http", ms(10)).unwrap().layer())
        .service(service_fn(|wait: u64| async move {
            tokio::time::sleep(ms(wait)).await;
            Ok::<_, &str>(wait)
        }));
    let quick: Result<u64, Error<&str>> = service.clone().oneshot(1).await;
    assert_eq!(quick, Ok(1));
    assert!(service.clone().oneshot(100).await.unwrap_err().is_timeout());
    assert!(service.oneshot(1).await.unwrap_err().is_rejected());
}

#[tokio::test]
async fn a_bulkhead_without_a_queue_sheds() {
    let bulkhead = Bulkhead::new("http", 1, 0, Duration::ZERO).unwrap();
    let mut service = bulkhead.layer().layer(service_fn(|_: ()| {
        std::future::pending::<Result<(), Infallible>>()
    }));
    let mut first = service.call(());
    std::future::poll_fn(|cx| {
        assert!(first.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    let refused = service.clone().oneshot(()).await.unwrap_err();
    assert_eq!(refused.rejected().unwrap().kind(), RejectedKind::QueueFull);
    drop(first);
    assert_eq!(bulkhead.snapshot().in_use, 0);
}

/// Counts calls, and panics when it is called without having been ready.
#[derive(Clone)]
struct Strict {
    calls: Arc<AtomicU32>,
    ready: bool,
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = &'static str;
    type Future = std::future::Ready<Result<u32, &'static str>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.ready = true;
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        std::future::ready(if call < request {
            Err("not yet")
        } else {
            Ok(call)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_sends_copies_and_asks_for_readiness_each_time() {
    let pipeline = Pipeline::standard("http")
        .retry(Retry::builder().max_attempts(3).build().unwrap())
        .breaker(CircuitBreaker::builder("http").build().unwrap())
        .build()
        .unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let service = pipeline.layer().layer(Strict {
        calls: calls.clone(),
        ready: false,
    });
    assert_eq!(service.clone().oneshot(3).await, Ok(3));
    let task = tokio::spawn(service.oneshot(100));
    assert_eq!(task.await.unwrap(), Err(Error::Inner("not yet")));
    assert_eq!(calls.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_response_can_be_classified() {
    let breaker = CircuitBreaker::builder("http")
        .consecutive_failures(1)
        .build()
        .unwrap();
    let pipeline = Pipeline::standard("http")
        .breaker(breaker.clone())
        .build()
        .unwrap();
    let layer = pipeline
        .layer()
        .classify(|result: Result<&u16, &Infallible>| match result {
            Ok(500..) => Outcome::Failure,
            other => Outcome::of(other),
        });
    let service = layer.layer(service_fn(|_: ()| async { Ok::<u16, Infallible>(503) }));
    assert_eq!(service.oneshot(()).await.unwrap(), 503);
    assert_eq!(breaker.state(), State::Open);
}
