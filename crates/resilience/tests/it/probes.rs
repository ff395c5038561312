//! The probes of the comparison with other crates. Each is a way in which at
//! least one published breaker fails.

use std::{future::pending, time::Duration};

use mainstay_resilience::{CircuitBreaker, Error, ManualClock, Permit, RetryBudget, State};

use crate::support::{panic_quietly, panicking, secs};

fn breaker(clock: &ManualClock) -> mainstay_resilience::CircuitBreakerBuilder {
    CircuitBreaker::builder("probe")
        .consecutive_failures(3)
        .open_for(secs(10))
        .half_open_probes(3)
        .clock(clock.shared())
}

fn fail(breaker: &CircuitBreaker, times: usize) {
    for _ in 0..times {
        if let Ok(permit) = breaker.try_acquire() {
            permit.failure();
        }
    }
}

/// Trips the breaker and waits until it may be probed.
fn half_open(breaker: &CircuitBreaker, clock: &ManualClock) {
    fail(breaker, 3);
    assert_eq!(breaker.state(), State::Open);
    clock.advance(secs(10));
}

#[tokio::test]
async fn p1_fifty_calls_in_half_open_admit_exactly_the_configured_probes() {
    let clock = ManualClock::new();
    let breaker = breaker(&clock).build().unwrap();
    half_open(&breaker, &clock);
    let ran = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (breaker, ran) = (breaker.clone(), ran.clone());
        calls.spawn(async move {
            breaker
                .run(async {
                    ran.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    pending::<Result<(), ()>>().await
                })
                .await
        });
    }
    let mut rejected = 0;
    while rejected < 47 {
        let result = calls.join_next().await.unwrap().unwrap();
        assert!(matches!(result, Err(Error::Rejected(_))));
        rejected += 1;
    }
    tokio::task::yield_now().await;
    assert_eq!(ran.load(std::sync::atomic::Ordering::SeqCst), 3);
    assert_eq!(calls.len(), 3);
}

#[test]
fn p1_with_threads_that_truly_overlap() {
    for _ in 0..20 {
        let clock = ManualClock::new();
        let breaker = breaker(&clock).build().unwrap();
        half_open(&breaker, &clock);
        let barrier = std::sync::Barrier::new(8);
        let permits: Vec<Permit> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        breaker.try_acquire().ok()
                    })
                })
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(permits.len(), 3);
    }
}

#[test]
fn p2_ten_cancelled_probes_leave_room_for_twenty_successes() {
    let clock = ManualClock::new();
    let breaker = breaker(&clock).build().unwrap();
    half_open(&breaker, &clock);
    for _ in 0..10 {
        drop(
            breaker
                .try_acquire()
                .expect("the slot of a cancelled probe is free again"),
        );
    }
    for _ in 0..20 {
        breaker.try_acquire().expect("a healthy call").success();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn p3_ten_panicking_probes_do_not_wedge_it() {
    let clock = ManualClock::new();
    let breaker = breaker(&clock).build().unwrap();
    half_open(&breaker, &clock);
    for _ in 0..10 {
        panicking(|| {
            let _permit = breaker.try_acquire().expect("a probe");
            panic_quietly();
        });
        assert_eq!(breaker.state(), State::Open, "a panic is a failure");
        clock.advance(secs(600));
    }
    for _ in 0..20 {
        breaker.try_acquire().expect("a healthy call").success();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn p3b_two_hundred_panics_open_it() {
    for window in [false, true] {
        let clock = ManualClock::new();
        let builder = CircuitBreaker::builder("panics").clock(clock.shared());
        let builder = if window {
            builder.time_window(secs(10), 1.0, 200)
        } else {
            builder.consecutive_failures(200)
        };
        let breaker = builder.build().unwrap();
        for _ in 0..200 {
            assert_eq!(breaker.state(), State::Closed);
            panicking(|| {
                let _permit = breaker.try_acquire().unwrap();
                panic_quietly();
            });
        }
        assert_eq!(breaker.state(), State::Open);
    }
}

#[tokio::test]
async fn p3c_a_panicking_future_counts_too() {
    let breaker = CircuitBreaker::builder("panics")
        .consecutive_failures(2)
        .build()
        .unwrap();
    for _ in 0..2 {
        let breaker = breaker.clone();
        let task = tokio::spawn(async move {
            breaker
                .run(async { panic_quietly() as Result<(), ()> })
                .await
        });
        assert!(task.await.unwrap_err().is_panic());
    }
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn p4_results_from_before_the_trip_close_nothing() {
    let clock = ManualClock::new();
    let (recorder, observer) = crate::support::Recorder::new();
    let breaker = breaker(&clock).observer(observer).build().unwrap();
    let old: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    half_open(&breaker, &clock);
    let probe = breaker.try_acquire().unwrap();
    assert_eq!(breaker.state(), State::HalfOpen);
    old.into_iter().for_each(Permit::success);
    assert_eq!(breaker.state(), State::HalfOpen, "stale successes");
    assert_eq!(recorder.count("StaleResult"), 3);
    assert_eq!(breaker.snapshot().probes, 1);
    probe.success();
    assert_eq!(breaker.state(), State::HalfOpen, "one probe of three");
}

#[test]
fn p4_a_failure_from_before_the_trip_opens_nothing() {
    let clock = ManualClock::new();
    let breaker = breaker(&clock).build().unwrap();
    let old: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    half_open(&breaker, &clock);
    (0..3).for_each(|_| breaker.try_acquire().unwrap().success());
    assert_eq!(breaker.state(), State::Closed);
    old.into_iter().for_each(Permit::failure);
    assert_eq!(breaker.state(), State::Closed, "stale failures");
    assert_eq!(breaker.snapshot().failures, 0);
}

#[test]
fn p5_probes_slower_than_the_window_still_close_it() {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::builder("slow probes")
        .time_window(secs(1), 0.5, 4)
        .open_for(secs(10))
        .half_open_probes(3)
        .clock(clock.shared())
        .build()
        .unwrap();
    fail(&breaker, 4);
    assert_eq!(breaker.state(), State::Open);
    clock.advance(secs(10));
    for _ in 0..20 {
        breaker.try_acquire().expect("20 of 20 served").success();
        clock.advance(secs(2));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn p6_a_window_of_four_opens_after_four_failures_whatever_came_before() {
    for successes in [0, 100, 900] {
        let breaker = CircuitBreaker::builder("sliding")
            .count_window(4, 1.0, 4)
            .clock(ManualClock::new().shared())
            .build()
            .unwrap();
        for _ in 0..successes {
            breaker.try_acquire().unwrap().success();
        }
        let mut failures = 0;
        while breaker.state() == State::Closed {
            breaker.try_acquire().unwrap().failure();
            failures += 1;
            assert!(failures <= 4, "after {successes} successes");
        }
        assert_eq!(failures, 4);
    }
}

/// P7 is about time; here it is shown by what is stored. The benchmark measures
/// it as well.
#[test]
fn p7_a_window_takes_the_same_room_whatever_it_holds() {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::builder("constant")
        .time_window(secs(10), 0.5, 1)
        .clock(clock.shared())
        .build()
        .unwrap();
    for _ in 0..50_000 {
        breaker.try_acquire().unwrap().success();
    }
    assert_eq!(breaker.snapshot().calls, 50_000);
    clock.advance(secs(11));
    assert_eq!(breaker.snapshot().calls, 0);
}

#[test]
fn p8_a_retry_budget_grants_exactly_its_share() {
    for percent in [10, 20, 30, 60, 90, 100] {
        let budget = RetryBudget::ratio(f64::from(percent) / 100.0).unwrap();
        let mut granted = 0;
        for _ in 0..1000 {
            budget.deposit();
            if let Some(mut grant) = budget.try_retry() {
                grant.spend();
                granted += 1;
            }
        }
        assert_eq!(granted, percent * 10, "{percent} %");
    }
}

#[tokio::test]
async fn p9_an_operation_never_runs_while_forced_open() {
    let clock = ManualClock::new();
    let breaker = breaker(&clock).build().unwrap();
    breaker.force_open();
    for _ in 0..10 {
        let result: Result<(), Error<()>> = breaker.run(async { panic!("it ran") }).await;
        assert!(result.unwrap_err().is_rejected());
        assert!(breaker.try_acquire().is_err());
        clock.advance(Duration::from_secs(1000));
    }
    breaker.reset();
    assert!(breaker.try_acquire().is_ok());
}

#[test]
fn p3d_a_panic_counts_even_when_the_future_outlives_it() {
    let breaker = CircuitBreaker::builder("kept")
        .consecutive_failures(1)
        .build()
        .unwrap();
    let mut call = std::pin::pin!(breaker.run(async { panic_quietly() as Result<(), ()> }));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    panicking(|| {
        let _ = call.as_mut().poll(&mut context);
    });
    assert_eq!(breaker.state(), State::Open);
}
