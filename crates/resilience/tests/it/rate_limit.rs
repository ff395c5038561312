//! Rate limits.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use mainstay_resilience::{KeyedRateLimiter, ManualClock, Quota, RateLimiter, RejectedKind};
use proptest::prelude::*;

use crate::support::{ms, secs};

fn limiter(quota: Quota, clock: &ManualClock) -> RateLimiter {
    RateLimiter::new("limit", quota)
        .unwrap()
        .with_clock(clock.shared())
}

fn admitted(limiter: &RateLimiter, calls: usize) -> usize {
    (0..calls).filter(|_| limiter.check().is_ok()).count()
}

#[test]
fn a_burst_and_then_the_steady_rate() {
    let clock = ManualClock::new();
    let limiter = limiter(Quota::per(secs(10), 10).burst(3), &clock);
    assert_eq!(admitted(&limiter, 10), 3);
    let refused = limiter.check().unwrap_err();
    assert_eq!(refused.kind(), RejectedKind::RateLimited);
    assert_eq!(refused.retry_after(), Some(secs(1)));
    clock.advance(ms(999));
    assert_eq!(admitted(&limiter, 10), 0);
    clock.advance(ms(1));
    assert_eq!(admitted(&limiter, 10), 1);
    clock.advance(secs(1000));
    assert_eq!(
        admitted(&limiter, 10),
        3,
        "idle time is not saved beyond the burst"
    );
}

#[test]
fn the_state_is_what_headers_tell() {
    let clock = ManualClock::new();
    let limiter = limiter(Quota::per(secs(60), 3), &clock);
    let state = limiter.check().unwrap();
    assert_eq!(
        (state.limit, state.remaining, state.reset_after),
        (3, 2, secs(20))
    );
    limiter.check().unwrap();
    let state = limiter.check().unwrap();
    assert_eq!((state.remaining, state.reset_after), (0, secs(60)));
    assert!(limiter.check().is_err());
    assert_eq!(limiter.peek(), state, "looking and refusing take nothing");
    clock.advance(secs(30));
    assert_eq!(limiter.peek().remaining, 1);
}

#[test]
fn a_clock_that_steps_backwards_costs_one_burst_at_most() {
    let clock = ManualClock::new();
    clock.advance(secs(100_000));
    let limiter = limiter(Quota::per(secs(10), 10), &clock);
    assert_eq!(admitted(&limiter, 5), 5);
    clock.set(secs(1));
    assert!(admitted(&limiter, 20) <= 10);
    clock.advance(secs(10));
    assert_eq!(admitted(&limiter, 20), 10);
}

#[test]
fn a_new_quota_keeps_what_was_used() {
    let clock = ManualClock::new();
    let limiter = limiter(Quota::per(secs(10), 10), &clock);
    assert_eq!(admitted(&limiter, 4), 4);
    limiter.reconfigure(Quota::per(secs(10), 5)).unwrap();
    assert_eq!(limiter.quota(), Quota::per(secs(10), 5));
    // 4 of 10 s are in use; each call takes 2 s of 10 now.
    assert_eq!(admitted(&limiter, 10), 3);
    assert!(limiter.reconfigure(Quota::per(secs(10), 0)).is_err());
}

#[test]
fn threads_together_get_exactly_the_quota() {
    let clock = ManualClock::new();
    let limiter = limiter(Quota::per(secs(10), 1000), &clock);
    let got = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    if limiter.check().is_ok() {
                        got.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(got.load(Ordering::Relaxed), 1000);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// In no span of time are more calls admitted than a burst and the rate.
    #[test]
    fn never_more_than_promised(
        calls in 1u32..50,
        burst in 1u32..50,
        steps in proptest::collection::vec((0u64..2000, 1usize..40), 1..60),
    ) {
        let clock = ManualClock::new();
        let limiter = limiter(Quota::per(secs(1), calls).burst(burst), &clock);
        let mut now = 0u64;
        let mut admissions: Vec<u64> = Vec::new();
        for (advance, attempts) in steps {
            clock.advance(ms(advance));
            now += advance;
            for _ in 0..attempts {
                if limiter.check().is_ok() {
                    admissions.push(now);
                }
            }
        }
        let interval = 1_000_000_000 / u64::from(calls);
        for (first, start) in admissions.iter().enumerate() {
            for (last, end) in admissions.iter().enumerate().skip(first) {
                let span = (end - start) * 1_000_000;
                let most = u64::from(burst) + span / interval;
                prop_assert!((last - first + 1) as u64 <= most);
            }
        }
        prop_assert!(!admissions.is_empty());
    }
}

fn keyed(quota: Quota, keys: usize, clock: &ManualClock) -> KeyedRateLimiter<u32> {
    KeyedRateLimiter::builder("keyed", quota)
        .max_keys(keys)
        .clock(clock.shared())
        .build()
        .unwrap()
}

#[test]
fn each_key_has_a_quota_of_its_own() {
    let clock = ManualClock::new();
    let limiter = keyed(Quota::per(secs(900), 5), 100, &clock);
    for _ in 0..5 {
        limiter.check(&1).unwrap();
    }
    assert_eq!(
        limiter.check(&1).unwrap_err().retry_after(),
        Some(secs(180))
    );
    assert_eq!(limiter.check(&2).unwrap().remaining, 4);
    limiter.forget(&1);
    assert_eq!(limiter.check(&1).unwrap().remaining, 4);
}

#[test]
fn a_key_can_have_a_quota_unlike_the_others() {
    let clock = ManualClock::new();
    let limiter = keyed(Quota::per(secs(60), 1), 100, &clock);
    let large = Quota::per(secs(60), 10);
    let got = (0..20)
        .filter(|_| limiter.check_quota(&1, &large).is_ok())
        .count();
    assert_eq!(got, 10);
    assert!(limiter.check(&1).is_err());
}

#[test]
fn a_quota_that_makes_no_sense_admits_nothing_and_does_not_panic() {
    let clock = ManualClock::new();
    let limiter = keyed(Quota::per(secs(60), 1), 100, &clock);
    for quota in [
        Quota::per(Duration::ZERO, 0),
        Quota::per(Duration::MAX, u32::MAX).burst(0),
    ] {
        let _ = limiter.check_quota(&1, &quota);
    }
}

#[test]
fn the_number_of_keys_is_bounded() {
    let clock = ManualClock::new();
    let limiter = keyed(Quota::per(secs(10), 10), 160, &clock);
    for key in 0..10_000 {
        limiter.check(&key).unwrap();
        assert!(limiter.len() <= 160);
    }
}

#[test]
fn idle_keys_make_room_before_busy_ones() {
    let clock = ManualClock::new();
    let roomy = keyed(Quota::per(secs(10), 10), 1600, &clock);
    while roomy.check(&5000).is_ok() {}
    for key in 10_000..40_000 {
        roomy.check(&key).unwrap();
    }
    assert!(
        roomy.check(&5000).is_err(),
        "a flood of light users does not free a heavy one"
    );
}

#[tokio::test]
async fn a_refused_call_is_not_run() {
    let clock = ManualClock::new();
    let limiter = limiter(Quota::per(secs(1), 1), &clock);
    assert_eq!(limiter.run(async { Ok::<_, ()>(1) }).await, Ok(1));
    let refused = limiter.run(async { panic!("run") as Result<(), ()> }).await;
    assert!(refused.unwrap_err().is_rejected());
}
