//! The atomics under every interleaving of two or three threads.
//!
//! Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p mainstay-resilience --no-default-features --test loom --release --target-dir target/loom`.
#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken test panics"
)]

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use loom::{future::block_on, thread};
use mainstay_resilience::{
    Bulkhead, CircuitBreaker, ManualClock, Permit, Quota, RateLimiter, RetryBudget, State,
};

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

fn breaker(clock: &ManualClock) -> CircuitBreaker {
    CircuitBreaker::builder("loom")
        .consecutive_failures(1)
        .open_for(Duration::from_secs(1))
        .clock(clock.shared())
        .build()
        .unwrap()
}

#[test]
fn one_probe_is_admitted_whoever_comes_first() {
    model(|| {
        let clock = ManualClock::new();
        let breaker = breaker(&clock);
        breaker.try_acquire().unwrap().failure();
        clock.advance(Duration::from_secs(1));
        let other = breaker.clone();
        let there = thread::spawn(move || other.try_acquire().ok());
        let here = breaker.try_acquire().ok();
        let there = there.join().unwrap();
        assert_eq!(
            usize::from(here.is_some()) + usize::from(there.is_some()),
            1
        );
    });
}

#[test]
fn a_failure_and_a_success_leave_a_state_that_one_order_explains() {
    model(|| {
        let clock = ManualClock::new();
        let breaker = CircuitBreaker::builder("loom")
            .consecutive_failures(2)
            .clock(clock.shared())
            .build()
            .unwrap();
        breaker.try_acquire().unwrap().failure();
        let (failing, succeeding) = (
            breaker.try_acquire().unwrap(),
            breaker.try_acquire().unwrap(),
        );
        let thread = thread::spawn(move || failing.failure());
        succeeding.success();
        thread.join().unwrap();
        match breaker.state() {
            State::Open => {}
            State::Closed => assert!(breaker.snapshot().failures <= 1),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_late_failure_never_reaches_the_next_generation() {
    model(|| {
        let clock = ManualClock::new();
        let breaker = breaker(&clock);
        let late = breaker.try_acquire().unwrap();
        let thread = thread::spawn(move || late.failure());
        // Trips, recovers: whenever the late failure comes, it is either the
        // one that trips the breaker or it is stale.
        if let Ok(permit) = breaker.try_acquire() {
            permit.failure();
        }
        clock.advance(Duration::from_secs(1));
        // A thread may see the trip late, and then it makes no probe.
        let mut probed = false;
        if let Ok(permit) = breaker.try_acquire() {
            probed = permit.is_probe();
            permit.success();
        }
        thread.join().unwrap();
        if probed {
            assert_eq!(breaker.state(), State::Closed);
            assert_eq!(breaker.snapshot().failures, 0);
        }
    });
}

#[test]
fn windows_count_every_result_once() {
    model(|| {
        let clock = ManualClock::new();
        for builder in [
            CircuitBreaker::builder("time").time_window(Duration::from_secs(10), 1.0, 100),
            CircuitBreaker::builder("count").count_window(100, 1.0, 100),
        ] {
            let breaker = builder.clock(clock.shared()).build().unwrap();
            let permits: Vec<Permit> = (0..2).map(|_| breaker.try_acquire().unwrap()).collect();
            let mut permits = permits.into_iter();
            let there = permits.next().unwrap();
            let thread = thread::spawn(move || there.failure());
            permits.for_each(Permit::success);
            thread.join().unwrap();
            let snapshot = breaker.snapshot();
            assert_eq!((snapshot.calls, snapshot.failures), (2, 1));
        }
    });
}

#[test]
fn a_limit_admits_exactly_its_burst() {
    model(|| {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(1));
        let limiter = RateLimiter::new("loom", Quota::per(Duration::from_secs(1), 2))
            .unwrap()
            .with_clock(clock.shared());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let limiter = limiter.clone();
                thread::spawn(move || limiter.check().is_ok())
            })
            .collect();
        let mut admitted = usize::from(limiter.check().is_ok());
        for thread in threads {
            admitted += usize::from(thread.join().unwrap());
        }
        assert_eq!(admitted, 2);
    });
}

#[test]
fn a_bulkhead_never_gives_one_permit_twice() {
    model(|| {
        let bulkhead = Bulkhead::new("loom", 1, 0, Duration::ZERO).unwrap();
        let inside = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let work = |bulkhead: &Bulkhead, inside: &loom::sync::atomic::AtomicUsize| {
            if let Ok(_permit) = bulkhead.try_acquire() {
                let before = inside.fetch_add(1, loom::sync::atomic::Ordering::Relaxed);
                assert_eq!(before, 0);
                inside.fetch_sub(1, loom::sync::atomic::Ordering::Relaxed);
            }
        };
        let thread = {
            let (bulkhead, inside) = (bulkhead.clone(), inside.clone());
            thread::spawn(move || work(&bulkhead, &inside))
        };
        work(&bulkhead, &inside);
        thread.join().unwrap();
        assert_eq!(bulkhead.snapshot().in_use, 0);
    });
}

#[test]
fn whoever_waits_is_served() {
    model(|| {
        let bulkhead = Bulkhead::new("loom", 1, 1, Duration::from_secs(1)).unwrap();
        let held = bulkhead.try_acquire().unwrap();
        let thread = thread::spawn(move || drop(held));
        // Deadlocks, which loom reports, when a wakeup is lost.
        let permit = block_on(bulkhead.acquire_until(std::future::pending()));
        assert!(permit.is_ok());
        thread.join().unwrap();
        drop(permit);
        let snapshot = bulkhead.snapshot();
        assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0));
    });
}

#[test]
fn whoever_stops_waiting_passes_it_on() {
    model(|| {
        let bulkhead = Bulkhead::new("loom", 1, 1, Duration::from_secs(1)).unwrap();
        let held = bulkhead.try_acquire().unwrap();
        let thread = thread::spawn(move || drop(held));
        block_on(async {
            let mut waiting = pin!(bulkhead.acquire_until(std::future::pending()));
            std::future::poll_fn(|cx| {
                let _ = waiting.as_mut().poll(cx);
                Poll::Ready(())
            })
            .await;
        });
        thread.join().unwrap();
        let snapshot = bulkhead.snapshot();
        assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0));
        assert!(bulkhead.try_acquire().is_ok());
    });
}

#[test]
fn a_budget_is_neither_overdrawn_nor_lost() {
    model(|| {
        let budget = RetryBudget::ratio(1.0).unwrap();
        budget.deposit();
        let other = budget.clone();
        let thread =
            thread::spawn(move || other.try_retry().map(|mut grant| grant.spend()).is_some());
        let here = budget.try_retry().is_some();
        let there = thread.join().unwrap();
        assert!(here || there, "one of them gets it");
        // What was got here was given back unspent.
        assert_eq!(budget.balance(), u64::from(!there));
    });
}
