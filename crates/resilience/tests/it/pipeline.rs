//! The pipeline and its order.

use std::{
    future::pending,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use mainstay_resilience::{
    Bulkhead, BulkheadConfig, CircuitBreaker, Deadline, Error, Jitter, Outcome, Pipeline,
    PipelineConfig, Quota, RateLimiter, RejectedKind, Retry, RetryConfig, State, TokioClock,
    Verdict,
};

use crate::support::{Recorder, ms, secs};

fn retry(attempts: u32) -> Retry {
    Retry::builder()
        .max_attempts(attempts)
        .exponential(ms(100), ms(100))
        .jitter(Jitter::None)
        .build()
        .unwrap()
}

fn breaker(failures: u32) -> CircuitBreaker {
    CircuitBreaker::builder("upstream")
        .consecutive_failures(failures)
        .build()
        .unwrap()
}

async fn down() -> Result<(), &'static str> {
    Err("down")
}

#[tokio::test(start_paused = true)]
async fn a_hung_upstream_opens_the_breaker() {
    let breaker = breaker(2);
    let pipeline = Pipeline::standard("upstream")
        .deadline(secs(60))
        .breaker(breaker.clone())
        .attempt_timeout(secs(1))
        .build()
        .unwrap();
    for _ in 0..2 {
        let result = pipeline.run(|_| pending::<Result<(), ()>>()).await;
        assert!(result.unwrap_err().is_timeout());
    }
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_clips_the_attempt_and_the_breaker_sees_it_fail() {
    let breaker = breaker(1);
    let pipeline = Pipeline::standard("upstream")
        .deadline(secs(1))
        .breaker(breaker.clone())
        .build()
        .unwrap();
    let start = tokio::time::Instant::now();
    let error = pipeline
        .run(|_| pending::<Result<(), ()>>())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Timeout { after, .. } if after == secs(1)));
    assert_eq!(start.elapsed(), secs(1));
    assert_eq!(breaker.state(), State::Open, "not a cancelled caller");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_all_attempts_and_waits() {
    let pipeline = Pipeline::standard("upstream")
        .deadline(ms(450))
        .retry(retry(100))
        .attempt_timeout(ms(100))
        .build()
        .unwrap();
    let attempts = AtomicU32::new(0);
    let start = tokio::time::Instant::now();
    let error = pipeline
        .run(|_| {
            attempts.fetch_add(1, Ordering::SeqCst);
            pending::<Result<(), ()>>()
        })
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    // Tokio's timers fire on whole milliseconds.
    assert!((ms(450)..=ms(452)).contains(&start.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn the_callers_deadline_counts_as_well() {
    let pipeline = Pipeline::standard("upstream")
        .deadline(secs(60))
        .build()
        .unwrap();
    let start = tokio::time::Instant::now();
    let soon = Deadline::after(&TokioClock, ms(20));
    let result = pipeline
        .run_within(soon, Outcome::of, |attempt| {
            assert_eq!(attempt.remaining(), ms(20));
            pending::<Result<(), ()>>()
        })
        .await;
    assert!(result.unwrap_err().is_timeout());
    assert_eq!(start.elapsed(), ms(20));
    let late = pipeline
        .run_within(soon, Outcome::of, |_| async {
            panic!("run") as Result<(), ()>
        })
        .await;
    assert_eq!(
        late.unwrap_err().rejected().unwrap().kind(),
        RejectedKind::DeadlineExpired
    );
}

#[tokio::test(start_paused = true)]
async fn our_own_refusals_say_nothing_about_the_upstream() {
    let breaker = breaker(1);
    let pipeline = Pipeline::standard("upstream")
        .retry(retry(3))
        .breaker(breaker.clone())
        .rate_limit(RateLimiter::new("upstream", Quota::per(secs(3600), 1)).unwrap())
        .bulkhead(Bulkhead::new("upstream", 1, 0, Duration::ZERO).unwrap())
        .deadline(secs(10))
        .build()
        .unwrap();
    let _held = pipeline.bulkhead().unwrap().try_acquire().unwrap();
    let attempts = AtomicU32::new(0);
    let call = || {
        pipeline.run(|_| {
            attempts.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, ()>(()) }
        })
    };
    let full = call().await.unwrap_err();
    assert_eq!(full.rejected().unwrap().kind(), RejectedKind::QueueFull);
    let limited = call().await.unwrap_err();
    assert_eq!(
        limited.rejected().unwrap().kind(),
        RejectedKind::RateLimited
    );
    assert_eq!(attempts.load(Ordering::SeqCst), 0);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_takes_no_permit_of_the_limits() {
    let limiter = RateLimiter::new("upstream", Quota::per(secs(3600), 5)).unwrap();
    let breaker = breaker(1);
    breaker.force_open();
    let pipeline = Pipeline::standard("upstream")
        .breaker(breaker)
        .rate_limit(limiter.clone())
        .build()
        .unwrap();
    for _ in 0..10 {
        assert!(pipeline.run(|_| down()).await.unwrap_err().is_rejected());
    }
    assert_eq!(limiter.peek().remaining, 5);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_counted_and_an_open_breaker_ends_them() {
    let pipeline = Pipeline::standard("upstream")
        .deadline(secs(30))
        .retry(retry(10))
        .breaker(breaker(3))
        .build()
        .unwrap();
    let attempts = AtomicU32::new(0);
    let error = pipeline
        .run(|_| {
            attempts.fetch_add(1, Ordering::SeqCst);
            down()
        })
        .await
        .unwrap_err();
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    assert_eq!(error.rejected().unwrap().kind(), RejectedKind::CircuitOpen);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_permit_is_not_the_upstreams_slowness() {
    let breaker = breaker(1);
    let bulkhead = Bulkhead::new("upstream", 1, 8, secs(60)).unwrap();
    let pipeline = Pipeline::standard("upstream")
        .breaker(breaker.clone())
        .bulkhead(bulkhead.clone())
        .attempt_timeout(ms(100))
        .build()
        .unwrap();
    let held = bulkhead.try_acquire().unwrap();
    let waiter = async { pipeline.run(|_| async { Ok::<_, ()>(()) }).await };
    let release = async {
        tokio::time::sleep(secs(30)).await;
        drop(held);
    };
    let (result, ()) = tokio::join!(waiter, release);
    assert!(result.is_ok());
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn one_classification_serves_breaker_and_retry() {
    let breaker = breaker(1);
    let pipeline = Pipeline::standard("upstream")
        .retry(retry(3))
        .breaker(breaker.clone())
        .build()
        .unwrap();
    let calls = AtomicU32::new(0);
    let call = |error: &'static str| {
        calls.store(0, Ordering::SeqCst);
        let calls = &calls;
        pipeline.run_with(
            |result: Result<&(), &&str>| match result {
                Ok(()) => Verdict::success(),
                Err(error) if *error == "not found" => Verdict::ignore(),
                Err(error) if *error == "busy" => Verdict::ignore().retry_after(secs(5)),
                Err(_) => Verdict::failure().permanent(),
            },
            move |_| {
                calls.fetch_add(1, Ordering::SeqCst);
                async move { Err(error) }
            },
        )
    };
    assert_eq!(call("not found").await, Err(Error::Inner("not found")));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let start = tokio::time::Instant::now();
    let _ = call("busy").await;
    assert_eq!(
        (calls.load(Ordering::SeqCst), start.elapsed()),
        (3, secs(10))
    );
    assert_eq!(breaker.state(), State::Closed);
    let _ = call("broken").await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_value_may_be_worth_another_attempt() {
    let pipeline = Pipeline::standard("upstream")
        .retry(retry(3))
        .build()
        .unwrap();
    let status = |result: Result<&u16, &()>| match result {
        Ok(503) => Outcome::Failure,
        other => Outcome::of(other),
    };
    let answers = |codes: [u16; 3]| {
        pipeline.run_with(status, move |attempt| {
            let code = codes[attempt.number() as usize - 1];
            async move { Ok(code) }
        })
    };
    assert_eq!(answers([503, 503, 200]).await, Ok(200));
    assert_eq!(
        answers([503, 503, 503]).await,
        Ok(503),
        "the last answer is the answer"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fallback_goes_around_everything() {
    let (recorder, observer) = Recorder::new();
    let pipeline = Pipeline::standard("upstream")
        .retry(retry(2))
        .observer(observer)
        .build()
        .unwrap();
    let answer: Result<&str, Error<&str>> = pipeline
        .run_or_else(
            |_| async { Err("down") },
            |error| async move {
                assert_eq!(error, Error::Inner("down"));
                Ok("from memory")
            },
        )
        .await;
    assert_eq!(answer, Ok("from memory"));
    assert_eq!(recorder.count("Fallback"), 1);
}

#[tokio::test(start_paused = true)]
async fn free_composition_keeps_the_error_flat() {
    let (retry, breaker) = (retry(2), breaker(5));
    let result: Result<(), Error<&str>> = retry
        .around(
            Deadline::never(),
            |_| mainstay_resilience::RetryDecision::Retry,
            |_| breaker.around(mainstay_resilience::timeout(secs(1), down())),
        )
        .await;
    assert_eq!(result, Err(Error::Inner("down")));
    assert_eq!(breaker.snapshot().failures, 2);
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_it_runs_and_state_stays() {
    let mut config = PipelineConfig::default();
    let pipeline = Pipeline::from_config("upstream", &config, None).unwrap();
    assert_eq!(pipeline.run(|_| down()).await, Err(Error::Inner("down")));
    assert!(pipeline.breaker().is_none());

    config.breaker = Some(mainstay_resilience::BreakerConfig::default());
    config.deadline = Some(secs(2));
    pipeline.reconfigure(&config).unwrap();
    for _ in 0..5 {
        let _ = pipeline.run(|_| down()).await;
    }
    assert_eq!(pipeline.breaker().unwrap().state(), State::Open);

    config.retry = Some(RetryConfig::default());
    config.bulkhead = Some(BulkheadConfig {
        max: 1,
        queue: 0,
        wait: Duration::ZERO,
    });
    pipeline.reconfigure(&config).unwrap();
    assert_eq!(
        pipeline.breaker().unwrap().state(),
        State::Open,
        "learned state"
    );
    assert_eq!(pipeline.snapshot().bulkhead.unwrap().max, 1);

    let mut wrong = config.clone();
    wrong.deadline = None;
    wrong.bulkhead = Some(BulkheadConfig {
        max: 0,
        queue: 0,
        wait: Duration::ZERO,
    });
    assert_eq!(pipeline.reconfigure(&wrong).unwrap_err().field(), "max");
    let start = tokio::time::Instant::now();
    pipeline.breaker().unwrap().reset();
    config.retry = None;
    pipeline.reconfigure(&config).unwrap();
    let _ = pipeline.run(|_| pending::<Result<(), ()>>()).await;
    assert_eq!(
        start.elapsed(),
        secs(2),
        "the deadline is still the old one"
    );

    pipeline.reconfigure(&PipelineConfig::default()).unwrap();
    assert!(pipeline.breaker().is_none() && pipeline.bulkhead().is_none());
}
