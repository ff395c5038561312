//! Client-side throttling.

use mainstay_resilience::{ManualClock, RejectedKind, Throttle};

use crate::support::secs;

fn throttle(clock: &ManualClock) -> Throttle {
    Throttle::builder("search")
        .seed(7)
        .clock(clock.shared())
        .build()
        .unwrap()
}

#[test]
fn a_healthy_side_is_never_throttled() {
    let clock = ManualClock::new();
    let throttle = throttle(&clock);
    for call in 0..1000 {
        let permit = throttle.try_acquire().unwrap();
        // Half of the calls may be refused with K = 2.
        if call % 2 == 0 {
            permit.accepted();
        } else {
            permit.refused();
        }
    }
}

#[test]
fn the_probability_is_the_books() {
    let clock = ManualClock::new();
    let throttle = throttle(&clock);
    let mut sent = 0;
    for _ in 0..1000 {
        if let Ok(permit) = throttle.try_acquire() {
            permit.refused();
            sent += 1;
        }
    }
    // (requests - 2 * 0) / (requests + 1)
    assert!((throttle.rejection_probability() - 1000.0 / 1001.0).abs() < 1e-12);
    assert!((3..30).contains(&sent), "a trickle probes: {sent}");
    let refused = (0..1000)
        .find_map(|_| throttle.try_acquire().err())
        .unwrap();
    assert_eq!(refused.kind(), RejectedKind::Throttled);
    clock.advance(secs(121));
    assert!(
        throttle.rejection_probability() == 0.0,
        "it forgets after two minutes"
    );
}

#[test]
fn the_same_seed_decides_the_same() {
    let decisions = || {
        let throttle = throttle(&ManualClock::new());
        (0..200)
            .map(|_| {
                throttle
                    .try_acquire()
                    .map(|permit| permit.refused())
                    .is_ok()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(decisions(), decisions());
}
