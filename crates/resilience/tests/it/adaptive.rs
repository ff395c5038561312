//! The adaptive limit.

use std::time::Duration;

use mainstay_resilience::{AdaptiveLimit, AdaptivePermit, Algorithm, ManualClock, RejectedKind};

use crate::support::{Recorder, ms, panic_quietly, panicking};

fn limit(algorithm: Algorithm, initial: u32, clock: &ManualClock) -> AdaptiveLimit {
    AdaptiveLimit::builder("adaptive")
        .algorithm(algorithm)
        .initial(initial)
        .bounds(1, 100)
        .clock(clock.shared())
        .build()
        .unwrap()
}

/// Runs as many calls at once as are allowed, for so long each.
fn round(limit: &AdaptiveLimit, clock: &ManualClock, latency: Duration) {
    let permits: Vec<_> = std::iter::from_fn(|| limit.try_acquire().ok()).collect();
    clock.advance(latency);
    permits.into_iter().for_each(AdaptivePermit::success);
}

#[test]
fn no_more_calls_than_the_limit_are_in_flight() {
    let clock = ManualClock::new();
    let limit = limit(Algorithm::aimd(), 3, &clock);
    let permits: Vec<_> = (0..3).map(|_| limit.try_acquire().unwrap()).collect();
    let refused = limit.try_acquire().unwrap_err();
    assert_eq!(refused.kind(), RejectedKind::ConcurrencyLimit);
    drop(permits);
    assert_eq!(limit.in_flight(), 0);
    assert_eq!(limit.limit(), 3, "cancelled calls teach nothing");
}

#[test]
fn aimd_grows_by_one_a_round_and_only_while_it_is_used() {
    let clock = ManualClock::new();
    let limit = limit(Algorithm::aimd(), 10, &clock);
    for _ in 0..100 {
        limit.try_acquire().unwrap().success();
    }
    assert_eq!(
        limit.limit(),
        10,
        "one call at a time needs no more than ten"
    );
    for _ in 0..12 {
        round(&limit, &clock, ms(1));
    }
    assert!((14..=19).contains(&limit.limit()), "{}", limit.limit());
}

#[test]
fn calls_that_fail_together_shrink_it_once() {
    let clock = ManualClock::new();
    let limit = limit(Algorithm::aimd_with(0.5), 64, &clock);
    let permits: Vec<_> = (0..64).map(|_| limit.try_acquire().unwrap()).collect();
    permits.into_iter().for_each(AdaptivePermit::failure);
    assert_eq!(limit.limit(), 32);
    limit.try_acquire().unwrap().failure();
    assert_eq!(limit.limit(), 16);
}

#[test]
fn a_panic_is_a_failure_and_returns_the_slot() {
    let clock = ManualClock::new();
    let limit = limit(Algorithm::aimd_with(0.5), 64, &clock);
    panicking(|| {
        let _permit = limit.try_acquire().unwrap();
        panic_quietly();
    });
    assert_eq!((limit.limit(), limit.in_flight()), (32, 0));
}

#[test]
fn the_gradient_grows_while_latency_stays_and_falls_when_it_rises() {
    let clock = ManualClock::new();
    let limit = limit(Algorithm::gradient(), 20, &clock);
    for _ in 0..20 {
        round(&limit, &clock, ms(10));
    }
    let grown = limit.limit();
    assert!(grown > 20, "{grown}");
    for _ in 0..20 {
        round(&limit, &clock, ms(200));
    }
    assert!(limit.limit() < grown / 2, "{} after {grown}", limit.limit());
    assert!(limit.limit() >= 1);
}

#[test]
fn the_gradient_leaves_an_idle_limit_alone() {
    let clock = ManualClock::new();
    let limit = limit(Algorithm::gradient(), 20, &clock);
    for _ in 0..500 {
        let permit = limit.try_acquire().unwrap();
        clock.advance(ms(10));
        permit.success();
    }
    assert_eq!(limit.limit(), 20);
}

#[test]
fn the_gradient_hears_failures_too() {
    let clock = ManualClock::new();
    let limit = limit(Algorithm::gradient(), 50, &clock);
    limit.try_acquire().unwrap().failure();
    assert_eq!(limit.limit(), 45);
}

#[test]
fn it_stays_within_its_bounds_and_tells_its_changes() {
    let clock = ManualClock::new();
    let (recorder, observer) = Recorder::new();
    let limit = AdaptiveLimit::builder("bounded")
        .algorithm(Algorithm::aimd_with(0.5))
        .initial(8)
        .bounds(4, 9)
        .clock(clock.shared())
        .observer(observer)
        .build()
        .unwrap();
    for _ in 0..10 {
        limit.try_acquire().unwrap().failure();
    }
    assert_eq!(limit.limit(), 4);
    for _ in 0..100 {
        round(&limit, &clock, ms(1));
    }
    assert_eq!(limit.limit(), 9);
    assert_eq!(recorder.count("LimitChanged"), 6);
}

/// A server that works on 50 calls at once and lets the others queue.
fn busy_server(limit: &AdaptiveLimit, clock: &ManualClock, work: Duration) -> u32 {
    let permits: Vec<_> = std::iter::from_fn(|| limit.try_acquire().ok()).collect();
    let in_flight = permits.len() as u32;
    clock.advance(work + work * in_flight.saturating_sub(50) / 50);
    permits.into_iter().for_each(AdaptivePermit::success);
    in_flight
}

#[test]
fn the_gradient_finds_what_a_server_can_do_and_does_not_drift_from_it() {
    let clock = ManualClock::new();
    let limit = AdaptiveLimit::builder("server")
        .initial(10)
        .bounds(1, 5000)
        .seed(1)
        .clock(clock.shared())
        .build()
        .unwrap();
    for _ in 0..300 {
        busy_server(&limit, &clock, ms(20));
    }
    for round in 0..10_000 {
        let in_flight = busy_server(&limit, &clock, ms(20));
        assert!(
            (20..=110).contains(&in_flight),
            "{in_flight} in round {round}"
        );
    }
}

#[test]
fn the_gradient_learns_that_a_server_has_become_slower_for_good() {
    let clock = ManualClock::new();
    let limit = AdaptiveLimit::builder("server")
        .initial(10)
        .bounds(1, 5000)
        .seed(1)
        .clock(clock.shared())
        .build()
        .unwrap();
    for _ in 0..300 {
        busy_server(&limit, &clock, ms(20));
    }
    for _ in 0..2000 {
        busy_server(&limit, &clock, ms(100));
    }
    let in_flight = busy_server(&limit, &clock, ms(100));
    assert!(
        in_flight > 20,
        "{in_flight}: slower, but it still works on 50 at once"
    );
}
