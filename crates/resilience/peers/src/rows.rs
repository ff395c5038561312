//! What is measured.

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, ready},
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter};
use mainstay_resilience::{
    AdaptiveLimit, Bulkhead, CircuitBreaker, KeyedRateLimiter, Pipeline, Quota, RateLimiter, Retry,
    RetryBudget, Throttle,
};
use tower::{Service, service_fn};

/// One thing that is measured.
pub struct Row {
    pub group: &'static str,
    pub name: &'static str,
    /// Makes so many calls, on whichever thread calls it.
    pub run: Box<dyn Fn(u64) + Send + Sync>,
}

type Rows = Vec<Row>;

const SECOND: Duration = Duration::from_secs(1);

pub fn all() -> Result<Rows, Box<dyn Error>> {
    let mut rows = Vec::new();
    baseline(&mut rows);
    breakers(&mut rows)?;
    other_breakers(&mut rows);
    pipelines(&mut rows)?;
    concurrency(&mut rows)?;
    rates(&mut rows)?;
    windows(&mut rows)?;
    Ok(rows)
}

/// A row of a synchronous call.
fn sync<T>(
    rows: &mut Rows,
    group: &'static str,
    name: &'static str,
    call: impl Fn() -> T + Send + Sync + 'static,
) {
    rows.push(Row {
        group,
        name,
        run: Box::new(move |calls| {
            for _ in 0..calls {
                black_box(call());
            }
        }),
    });
}

/// A row of an asynchronous call. A future that is not ready is polled again at
/// once: the figures are of the policies and not of parking.
macro_rules! async_row {
    ($rows:expr, $group:expr, $name:expr, $call:expr) => {{
        let call = $call;
        $rows.push(Row {
            group: $group,
            name: $name,
            run: Box::new(move |calls| {
                for _ in 0..calls {
                    let _ = black_box(spin(call()));
                }
            }),
        });
    }};
}

fn spin<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::hint::spin_loop();
    }
}

fn operation() -> Result<u32, Infallible> {
    Ok(black_box(7))
}

/// The same with an error that circuitbreaker-rs accepts.
fn fallible() -> Result<u32, std::io::Error> {
    Ok(black_box(7))
}

const BASE: &str = "Baseline";
const BREAKER: &str = "Circuit breaker";
const PIPELINE: &str = "Pipeline";
const CONCURRENCY: &str = "Calls in flight";
const RATE: &str = "Rate";
const WINDOW: &str = "Time window, by what it holds";

/// The rows that the others are compared with.
pub const NO_OP: &str = "async no-op";
pub const TIMEOUT: &str = "tokio::time::timeout around a ready future";

fn baseline(rows: &mut Rows) {
    sync(rows, BASE, "sync no-op", operation);
    async_row!(rows, BASE, NO_OP, || ready(operation()));
    async_row!(rows, BASE, TIMEOUT, || tokio::time::timeout(
        SECOND,
        ready(operation())
    ));
    async_row!(rows, BASE, "ours: timeout around a ready future", || {
        mainstay_resilience::timeout(SECOND, ready(operation()))
    });
}

fn breakers(rows: &mut Rows) -> Result<(), Box<dyn Error>> {
    let consecutive = CircuitBreaker::builder("consecutive").build()?;
    let count = CircuitBreaker::builder("count")
        .count_window(100, 0.5, 100)
        .build()?;
    let time = CircuitBreaker::builder("time")
        .time_window(10 * SECOND, 0.5, 20)
        .build()?;
    let slow = CircuitBreaker::builder("slow")
        .time_window(10 * SECOND, 0.5, 20)
        .slow_calls(SECOND, 0.5)
        .build()?;
    let owned = time.clone();
    let plain = consecutive.clone();
    sync(
        rows,
        BREAKER,
        "ours: consecutive failures, permit that owns its breaker",
        move || {
            if let Ok(permit) = plain.try_acquire() {
                permit.success();
            }
        },
    );
    async_row!(rows, BREAKER, "ours: consecutive failures", {
        let breaker = leak(consecutive);
        || breaker.run(ready(operation()))
    });
    async_row!(rows, BREAKER, "ours: count window", {
        let breaker = leak(count);
        || breaker.run(ready(operation()))
    });
    async_row!(rows, BREAKER, "ours: time window", {
        let breaker = leak(time);
        || breaker.run(ready(operation()))
    });
    async_row!(rows, BREAKER, "ours: time window with slow calls", {
        let breaker = leak(slow);
        || breaker.run(ready(operation()))
    });
    sync(
        rows,
        BREAKER,
        "ours: time window, permit that owns its breaker",
        move || {
            if let Ok(permit) = owned.try_acquire() {
                permit.success();
            }
        },
    );
    Ok(())
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn other_breakers(rows: &mut Rows) {
    let recloser = recloser::Recloser::default();
    sync(rows, BREAKER, "recloser", move || recloser.call(operation));
    let recloser = leak(recloser::AsyncRecloser::from(recloser::Recloser::default()));
    async_row!(rows, BREAKER, "recloser, async", || recloser
        .call(ready(operation())));

    let failsafe = failsafe::Config::new().build();
    sync(rows, BREAKER, "failsafe", move || {
        failsafe::CircuitBreaker::call(&failsafe, operation)
    });
    let backoff = failsafe::backoff::constant(SECOND);
    let policy = failsafe::failure_policy::consecutive_failures(5, backoff);
    let consecutive = failsafe::Config::new().failure_policy(policy).build();
    sync(rows, BREAKER, "failsafe, consecutive failures", move || {
        failsafe::CircuitBreaker::call(&consecutive, operation)
    });
    let failsafe = leak(failsafe::Config::new().build());
    async_row!(rows, BREAKER, "failsafe, async", || {
        failsafe::futures::CircuitBreaker::call(failsafe, ready(operation()))
    });

    let layer = tower_resilience_circuitbreaker::CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .build();
    if let Ok(layer) = layer {
        let service = layer.layer_fn(service_fn(|(): ()| ready(operation())));
        rows.push(Row {
            group: BREAKER,
            name: "tower-resilience, count window",
            run: Box::new(move |calls| {
                // A service is called by one task at a time: each thread has a
                // clone, and the clones share their state.
                let mut service = service.clone();
                for _ in 0..calls {
                    let _ = black_box(spin(async {
                        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
                        service.call(()).await
                    }));
                }
            }),
        });
    }

    let breaker = leak(circuitbreaker_rs::CircuitBreaker::<
        circuitbreaker_rs::DefaultPolicy,
        std::io::Error,
    >::builder().build());
    sync(rows, BREAKER, "circuitbreaker-rs", || {
        breaker.call(fallible)
    });
    async_row!(rows, BREAKER, "circuitbreaker-rs, async", || {
        breaker.call_async(|| ready(fallible()))
    });

    let breaker = leak(nobreak::breaker());
    sync(rows, BREAKER, "nobreak", || breaker.call(operation));
    async_row!(rows, BREAKER, "nobreak, async", || breaker
        .call_async(|| ready(operation())));
}

fn pipelines(rows: &mut Rows) -> Result<(), Box<dyn Error>> {
    let standard = Pipeline::standard("standard")
        .deadline(5 * SECOND)
        .retry(Retry::builder().build()?)
        .breaker(
            CircuitBreaker::builder("standard")
                .time_window(10 * SECOND, 0.5, 20)
                .build()?,
        )
        .rate_limit(RateLimiter::new(
            "standard",
            Quota::per(SECOND, 1_000_000_000),
        )?)
        .bulkhead(Bulkhead::new("standard", 64, 64, SECOND)?)
        .attempt_timeout(SECOND)
        .build()?;
    let budgeted = Pipeline::standard("budgeted")
        .deadline(5 * SECOND)
        .retry(
            Retry::builder()
                .budget(RetryBudget::builder().build()?)
                .build()?,
        )
        .breaker(CircuitBreaker::builder("budgeted").build()?)
        .attempt_timeout(SECOND)
        .build()?;
    async_row!(rows, PIPELINE, "ours: all six parts", {
        let pipeline = leak(standard);
        || pipeline.run(|_| ready(operation()))
    });
    async_row!(
        rows,
        PIPELINE,
        "ours: deadline, retry with budget, breaker, timeout",
        {
            let pipeline = leak(budgeted);
            || pipeline.run(|_| ready(operation()))
        }
    );
    Ok(())
}

fn concurrency(rows: &mut Rows) -> Result<(), Box<dyn Error>> {
    let bulkhead = Bulkhead::new("bulkhead", 64, 64, SECOND)?;
    sync(rows, CONCURRENCY, "ours: bulkhead, try_acquire", {
        let bulkhead = bulkhead.clone();
        move || bulkhead.try_acquire().is_ok()
    });
    async_row!(rows, CONCURRENCY, "ours: bulkhead, run", {
        let bulkhead = leak(bulkhead);
        || bulkhead.run(ready(operation()))
    });
    let semaphore = Arc::new(tokio::sync::Semaphore::new(64));
    let other = leak(Arc::clone(&semaphore));
    sync(rows, CONCURRENCY, "tokio Semaphore, try_acquire", {
        let semaphore = Arc::clone(&semaphore);
        move || semaphore.try_acquire().is_ok()
    });
    sync(
        rows,
        CONCURRENCY,
        "tokio Semaphore, try_acquire_owned",
        move || Arc::clone(&semaphore).try_acquire_owned().is_ok(),
    );
    async_row!(rows, CONCURRENCY, "tokio Semaphore, acquire", || async {
        other.acquire().await.is_ok()
    });
    let adaptive = leak(AdaptiveLimit::builder("adaptive").build()?);
    async_row!(rows, CONCURRENCY, "ours: adaptive limit", || adaptive
        .run(ready(operation())));
    let throttle = leak(Throttle::builder("throttle").build()?);
    async_row!(rows, CONCURRENCY, "ours: throttle", || throttle
        .run(ready(operation())));
    Ok(())
}

fn rates(rows: &mut Rows) -> Result<(), Box<dyn Error>> {
    // A quota that is never used up: what is measured is being allowed.
    let quota = Quota::per(SECOND, 1_000_000_000).burst(u32::MAX);
    let limiter = RateLimiter::new("rate", quota)?;
    sync(rows, RATE, "ours: rate limiter", move || {
        limiter.check().is_ok()
    });
    let keyed = KeyedRateLimiter::<u64>::new("keyed", quota)?;
    sync(rows, RATE, "ours: keyed rate limiter, one key", move || {
        keyed.check(&7).is_ok()
    });
    let theirs = governor::Quota::per_second(std::num::NonZeroU32::MAX);
    let direct: DefaultDirectRateLimiter = governor::RateLimiter::direct(theirs);
    sync(rows, RATE, "governor", move || direct.check().is_ok());
    let keyed: DefaultKeyedRateLimiter<u64> = governor::RateLimiter::keyed(theirs);
    sync(rows, RATE, "governor, keyed, one key", move || {
        keyed.check_key(&7).is_ok()
    });
    Ok(())
}

/// P7: the cost of a call does not depend on what the window holds.
fn windows(rows: &mut Rows) -> Result<(), Box<dyn Error>> {
    for (name, held) in [
        ("ours: failing calls, 100 held", 100),
        ("ours: failing calls, 1,000 held", 1000),
        ("ours: failing calls, 50,000 held", 50_000),
    ] {
        let breaker = CircuitBreaker::builder("window")
            .time_window(Duration::from_secs(86_400), 1.0, u32::MAX)
            .build()?;
        for _ in 0..held {
            breaker.try_acquire()?.success();
        }
        let breaker = leak(breaker);
        // A failure looks at the whole window, a success at nothing.
        async_row!(rows, WINDOW, name, || breaker
            .run(ready(Err::<u32, u32>(black_box(7)))));
    }
    Ok(())
}
