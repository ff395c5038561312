//! Dropping a guarded call at any of its polls loses nothing.

use std::time::Duration;

use mainstay_resilience::{
    AdaptiveLimit, Bulkhead, Chain, CircuitBreaker, Deadline, Error, Hedge, Jitter, Outcome,
    Pipeline, Priority, Quota, RateLimiter, Retry, RetryBudget, RetryDecision, Shedder, State,
    Throttle, Timeout, TokioClock,
};

use crate::support::{ms, secs, sweep, yield_once};

/// An operation that is pending three times.
async fn work() -> Result<u32, &'static str> {
    for _ in 0..3 {
        yield_once().await;
    }
    Ok(1)
}

async fn slow_failure() -> Result<u32, &'static str> {
    yield_once().await;
    Err("down")
}

#[tokio::test(start_paused = true)]
async fn a_breaker_loses_no_probe() {
    let breaker = CircuitBreaker::builder("sweep")
        .consecutive_failures(1)
        .open_for(secs(1))
        .half_open_probes(2)
        .build()
        .unwrap();
    breaker.try_acquire().unwrap().failure();
    tokio::time::advance(secs(1)).await;
    sweep(
        ms(1),
        || breaker.run(work()),
        |_| assert_eq!(breaker.snapshot().probes, 0),
    )
    .await;
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.try_acquire().unwrap().success();
    assert_eq!(
        breaker.state(),
        State::Closed,
        "one success of the sweep, one of now"
    );
}

#[tokio::test(start_paused = true)]
async fn a_bulkhead_loses_no_permit_and_no_place_in_the_queue() {
    let bulkhead = Bulkhead::new("sweep", 1, 2, secs(1)).unwrap();
    // With the permit free, and with somebody else holding it for a while.
    sweep(ms(1), || bulkhead.run(work()), |_| idle(&bulkhead)).await;
    sweep(
        ms(10),
        || {
            let (held, bulkhead) = (bulkhead.try_acquire().unwrap(), bulkhead.clone());
            async move {
                let first = async {
                    tokio::time::sleep(ms(25)).await;
                    drop(held);
                    Ok::<_, Error<&str>>(0)
                };
                let (_, second) = tokio::join!(first, bulkhead.run(work()));
                second
            }
        },
        |_| idle(&bulkhead),
    )
    .await;
}

fn idle(bulkhead: &Bulkhead) {
    let snapshot = bulkhead.snapshot();
    assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_passes_its_permit_on() {
    let bulkhead = Bulkhead::new("handover", 1, 8, secs(1)).unwrap();
    let held = bulkhead.try_acquire().unwrap();
    let mut first = Box::pin(bulkhead.acquire());
    let mut second = Box::pin(bulkhead.acquire());
    assert!(futures_poll(&mut first).await.is_none());
    assert!(futures_poll(&mut second).await.is_none());
    // The permit goes to the first, which is dropped before it looks.
    drop(held);
    drop(first);
    let permit = futures_poll(&mut second)
        .await
        .expect("the second waiter has it");
    assert!(permit.is_ok());
}

async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_retry_loses_no_budget() {
    let budget = RetryBudget::builder()
        .ratio(1.0)
        .floor_per_second(0)
        .in_flight(1.0, 1)
        .capacity(1000)
        .build()
        .unwrap();
    let retry = Retry::builder()
        .max_attempts(3)
        .exponential(ms(10), ms(10))
        .jitter(Jitter::None)
        .budget(budget.clone())
        .build()
        .unwrap();
    let started = std::sync::atomic::AtomicU64::new(0);
    let (mut calls, order) = (0, std::sync::atomic::Ordering::SeqCst);
    sweep(
        ms(10),
        || {
            retry.run(
                |_| RetryDecision::Retry,
                |attempt| {
                    if attempt.is_retry() {
                        started.fetch_add(1, order);
                    }
                    slow_failure()
                },
            )
        },
        |polls| {
            // A call that was never polled never began.
            calls += u64::from(polls > 0);
            assert_eq!(
                budget.balance(),
                calls - started.load(order),
                "poll {polls}"
            );
        },
    )
    .await;
    // No retry is counted as under way any more: one may be granted again.
    budget.deposit();
    assert!(budget.try_retry().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_hedge_loses_no_budget() {
    let budget = RetryBudget::builder()
        .without_ratio()
        .in_flight(1.0, 1)
        .build()
        .unwrap();
    let hedge = Hedge::builder("sweep")
        .delay(ms(5))
        .max_hedges(2)
        .budget(budget.clone())
        .build()
        .unwrap();
    sweep(
        ms(3),
        || {
            hedge.run(|_| async {
                tokio::time::sleep(ms(20)).await;
                work().await
            })
        },
        |_| {
            assert!(budget.try_retry().is_some(), "nothing is under way");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn limits_on_calls_in_flight_lose_no_slot() {
    let adaptive = AdaptiveLimit::builder("sweep").initial(1).build().unwrap();
    sweep(
        ms(1),
        || adaptive.run(work()),
        |_| assert_eq!(adaptive.in_flight(), 0),
    )
    .await;
    let shedder = Shedder::builder("sweep", 1).build().unwrap();
    sweep(
        ms(1),
        || shedder.run(Priority::Critical, work()),
        |_| assert!(shedder.load() == 0.0),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_not_held_against_the_other_side() {
    let throttle = Throttle::builder("sweep")
        .multiplier(1.0)
        .seed(1)
        .build()
        .unwrap();
    sweep(
        ms(1),
        || throttle.run(work()),
        |_| assert!(throttle.rejection_probability() == 0.0),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_a_bulkhead_returns_its_permit() {
    let bulkhead = Bulkhead::new("sweep", 1, 1, secs(1)).unwrap();
    let timeout = Timeout::new("sweep", ms(2)).unwrap();
    let limiter = RateLimiter::new("sweep", Quota::per(secs(1), 1_000_000)).unwrap();
    sweep(
        ms(1),
        || {
            timeout.around(limiter.around(bulkhead.run(async {
                std::future::pending::<()>().await;
                Ok::<_, &str>(1)
            })))
        },
        |_| idle(&bulkhead),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_dropped_with_the_step_that_it_is_at() {
    let bulkhead = Bulkhead::new("sweep", 1, 0, Duration::ZERO).unwrap();
    sweep(
        ms(1),
        || {
            Chain::new("sweep")
                .guarded("first", async {
                    bulkhead.run(work()).await.map(|_| None::<u32>)
                })
                .guarded("second", async { bulkhead.run(work()).await.map(Some) })
                .run()
        },
        |_| idle(&bulkhead),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_whole_pipeline_loses_nothing() {
    let budget = RetryBudget::builder()
        .ratio(1.0)
        .floor_per_second(0)
        .in_flight(1.0, 1)
        .build()
        .unwrap();
    let breaker = CircuitBreaker::builder("sweep")
        .consecutive_failures(1)
        .open_for(ms(1))
        .open_backoff(1.0, ms(1))
        .half_open_probes(1)
        .build()
        .unwrap();
    let bulkhead = Bulkhead::new("sweep", 1, 1, secs(1)).unwrap();
    let pipeline = Pipeline::standard("sweep")
        .deadline(secs(10))
        .retry(
            Retry::builder()
                .max_attempts(3)
                .exponential(ms(10), ms(10))
                .jitter(Jitter::None)
                .budget(budget.clone())
                .build()
                .unwrap(),
        )
        .breaker(breaker.clone())
        .rate_limit(RateLimiter::new("sweep", Quota::per(secs(1), 1_000_000)).unwrap())
        .bulkhead(bulkhead.clone())
        .attempt_timeout(ms(50))
        .build()
        .unwrap();
    let deadline = Deadline::after(&TokioClock, secs(3600));
    sweep(
        ms(10),
        || {
            pipeline.run_within(deadline, Outcome::of, |_| async {
                yield_once().await;
                bulkhead_is_taken(&bulkhead);
                slow_failure().await
            })
        },
        |_| {
            idle(&bulkhead);
            assert_eq!(breaker.snapshot().probes, 0);
            assert!(budget.try_retry().is_some() || budget.balance() == 0);
        },
    )
    .await;
}

fn bulkhead_is_taken(bulkhead: &Bulkhead) {
    assert_eq!(bulkhead.snapshot().in_use, 1);
}
