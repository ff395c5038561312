//! Guarded calls fit where calls are made: in spawned tasks, in callers that
//! are not `Send`, around anything that borrows.

use std::{cell::Cell, rc::Rc};

use mainstay_resilience::{
    Bulkhead, Chain, CircuitBreaker, Deadline, Error, Hedge, Pipeline, Retry, RetryDecision,
    Timeout, Verdict,
};

use crate::support::secs;

struct Pool(String);

async fn query(pool: &Pool, id: &str) -> Result<usize, std::io::Error> {
    tokio::task::yield_now().await;
    Ok(pool.0.len() + id.len())
}

fn pipeline() -> Pipeline {
    Pipeline::standard("spawned")
        .deadline(secs(5))
        .retry(Retry::builder().build().unwrap())
        .breaker(CircuitBreaker::builder("spawned").build().unwrap())
        .bulkhead(Bulkhead::new("spawned", 4, 4, secs(1)).unwrap())
        .attempt_timeout(secs(1))
        .build()
        .unwrap()
}

async fn through_the_pipeline(pipeline: &Pipeline, pool: &Pool, id: &str) -> usize {
    pipeline
        .run_with(
            |result: Result<&usize, &std::io::Error>| match result {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Verdict::ignore(),
                other => Verdict::of(other),
            },
            |_| query(pool, id),
        )
        .await
        .unwrap()
}

async fn in_free_order(pool: &Pool, id: &str) -> usize {
    let retry = Retry::builder().build().unwrap();
    let breaker = CircuitBreaker::builder("free").build().unwrap();
    let limit = Timeout::new("free", secs(1)).unwrap();
    let hedge = Hedge::builder("free").build().unwrap();
    let call = || {
        breaker.around(
            limit.around(async { hedge.run(|_| query(pool, id)).await.map_err(Error::Inner) }),
        )
    };
    retry
        .around(
            Deadline::never(),
            |_: &std::io::Error| RetryDecision::Retry,
            |_| call(),
        )
        .await
        .unwrap()
}

#[tokio::test]
async fn in_a_spawned_task_with_borrows() {
    let task = tokio::spawn(async move {
        let (pipeline, pool, id) = (pipeline(), Pool("pool".into()), String::from("id"));
        let first = through_the_pipeline(&pipeline, &pool, &id).await;
        let second = in_free_order(&pool, &id).await;
        let third = Chain::new("spawned")
            .guarded("query", async {
                pipeline.run(|_| query(&pool, &id)).await.map(Some)
            })
            .run()
            .await
            .unwrap()
            .into_value();
        first + second + third
    });
    assert_eq!(task.await.unwrap(), 18);
}

#[tokio::test]
async fn in_a_caller_that_is_not_send() {
    let count = Rc::new(Cell::new(0));
    let pipeline = pipeline();
    let result: Result<(), Error<()>> = pipeline
        .run(|_| {
            let count = Rc::clone(&count);
            async move {
                tokio::task::yield_now().await;
                count.set(count.get() + 1);
                Ok(())
            }
        })
        .await;
    assert!(result.is_ok());
    assert_eq!(count.get(), 1);
    let answer = Chain::<_, ()>::new("local")
        .step("shared", async { Ok(Some(Rc::clone(&count))) })
        .run()
        .await
        .unwrap();
    assert_eq!(answer.value().get(), 1);
}

#[test]
fn handles_can_be_shared_by_threads_and_permits_sent() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<CircuitBreaker>();
    shared::<Bulkhead>();
    shared::<Pipeline>();
    shared::<Retry>();
    shared::<Hedge>();
    shared::<mainstay_resilience::RateLimiter>();
    shared::<mainstay_resilience::KeyedRateLimiter<String>>();
    shared::<mainstay_resilience::AdaptiveLimit>();
    shared::<mainstay_resilience::Throttle>();
    shared::<mainstay_resilience::Shedder>();
    shared::<mainstay_resilience::Registry>();
    sent::<mainstay_resilience::Permit>();
    sent::<mainstay_resilience::BulkheadPermit>();
    sent::<mainstay_resilience::AdaptivePermit>();
}
