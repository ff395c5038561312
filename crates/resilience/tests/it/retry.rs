//! Retries, backoff and budgets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use mainstay_resilience::{
    Backoff, CircuitBreaker, Deadline, Error, Jitter, ManualClock, Rejected, RejectedKind, Retry,
    RetryBudget, RetryBuilder, RetryDecision, TokioClock,
};
use proptest::prelude::*;

use crate::support::{Recorder, ms, secs};

fn plain() -> RetryBuilder {
    Retry::builder()
        .max_attempts(4)
        .exponential(ms(100), secs(1))
        .jitter(Jitter::None)
}

fn again<E>(_: &E) -> RetryDecision {
    RetryDecision::Retry
}

/// Fails, and notes when each attempt was made.
#[derive(Clone, Default)]
struct Down(Arc<Mutex<Vec<Duration>>>);

impl Down {
    async fn call(&self, start: tokio::time::Instant) -> Result<(), &'static str> {
        self.0.lock().unwrap().push(start.elapsed());
        Err("down")
    }

    fn times(&self) -> Vec<u128> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(Duration::as_millis)
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn waits_double_and_attempts_end() {
    let (retry, down) = (plain().build().unwrap(), Down::default());
    let start = tokio::time::Instant::now();
    assert_eq!(retry.run(again, |_| down.call(start)).await, Err("down"));
    assert_eq!(down.times(), [0, 100, 300, 700]);
}

#[tokio::test(start_paused = true)]
async fn what_is_permanent_is_not_tried_again() {
    let (retry, down) = (plain().build().unwrap(), Down::default());
    let start = tokio::time::Instant::now();
    let stop = |_: &&str| RetryDecision::Stop;
    assert_eq!(retry.run(stop, |_| down.call(start)).await, Err("down"));
    assert_eq!(down.times(), [0]);
}

#[tokio::test(start_paused = true)]
async fn the_other_side_may_ask_for_a_longer_wait() {
    let (retry, down) = (plain().max_attempts(3).build().unwrap(), Down::default());
    let start = tokio::time::Instant::now();
    let asked = |_: &&str| RetryDecision::RetryAfter(secs(7));
    let _ = retry.run(asked, |_| down.call(start)).await;
    assert_eq!(down.times(), [0, 7000, 14_000]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_the_deadline() {
    let (retry, down) = (plain().build().unwrap(), Down::default());
    let start = tokio::time::Instant::now();
    let deadline = Deadline::after(&TokioClock, ms(250));
    let _ = retry
        .run_within(deadline, again, |_| down.call(start))
        .await;
    assert_eq!(down.times(), [0, 100]);
    assert_eq!(
        start.elapsed(),
        ms(100),
        "the second wait would have been for nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_tried_again_only_when_its_time_fits() {
    let retry = plain().build().unwrap();
    let refused = |after: Option<Duration>| {
        move || async move {
            Err::<(), _>(Error::<()>::Rejected(Rejected::new(
                "r",
                RejectedKind::CircuitOpen,
                after,
            )))
        }
    };
    for (after, deadline, attempts) in [
        (None, Deadline::never(), 1),
        (Some(secs(60)), Deadline::after(&TokioClock, secs(5)), 1),
        (Some(secs(2)), Deadline::after(&TokioClock, secs(5)), 3),
    ] {
        let mut made = 0;
        let call = refused(after);
        let _ = retry
            .around(deadline, again, |_| {
                made += 1;
                call()
            })
            .await;
        assert_eq!(made, attempts, "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_ends_the_attempts() {
    let breaker = CircuitBreaker::builder("down")
        .consecutive_failures(2)
        .build()
        .unwrap();
    let (retry, down) = (plain().build().unwrap(), Down::default());
    let start = tokio::time::Instant::now();
    let deadline = Deadline::after(&TokioClock, secs(10));
    let error = retry
        .around(deadline, again, |_| breaker.run(down.call(start)))
        .await
        .unwrap_err();
    assert!(error.is_rejected());
    assert_eq!(down.times(), [0, 100]);
}

#[tokio::test(start_paused = true)]
async fn attempts_know_their_number_and_what_remains() {
    let retry = plain().build().unwrap();
    let deadline = Deadline::after(&TokioClock, secs(5));
    let mut seen = Vec::new();
    let _: Result<(), ()> = retry
        .run_within(deadline, again, |attempt| {
            seen.push((
                attempt.number(),
                attempt.is_retry(),
                attempt.remaining().as_millis(),
            ));
            async { Err(()) }
        })
        .await;
    assert_eq!(
        seen,
        [
            (1, false, 5000),
            (2, true, 4900),
            (3, true, 4700),
            (4, true, 4300)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_the_retries_of_all_calls() {
    let (recorder, observer) = Recorder::new();
    let retry = plain()
        .max_attempts(2)
        .budget(RetryBudget::ratio(0.2).unwrap())
        .observer(observer)
        .build()
        .unwrap();
    let mut attempts = 0;
    for _ in 0..100 {
        let _: Result<(), ()> = retry
            .run(again, |_| {
                attempts += 1;
                async { Err(()) }
            })
            .await;
    }
    assert_eq!(attempts, 120);
    assert_eq!(recorder.count("Retry {"), 20);
    assert_eq!(recorder.count("BudgetExhausted"), 80);
}

#[tokio::test(start_paused = true)]
async fn a_seed_makes_the_waits_the_same() {
    let waits = || async {
        let retry = plain().jitter(Jitter::Full).seed(42).build().unwrap();
        let (down, start) = (Down::default(), tokio::time::Instant::now());
        let _ = retry.run(again, |_| down.call(start)).await;
        down.times()
    };
    let first = waits().await;
    assert_eq!(first, waits().await);
    assert!(first[3] < 700, "jitter makes them shorter: {first:?}");
}

#[test]
fn new_settings_keep_the_budget() {
    let budget = RetryBudget::ratio(1.0).unwrap();
    budget.deposit();
    let retry = plain().budget(budget.clone()).build().unwrap();
    let mut config = retry.config();
    config.max_attempts = 9;
    retry.reconfigure(&config).unwrap();
    assert_eq!(retry.config(), config);
    assert_eq!(budget.balance(), 1);
    config.max_attempts = 0;
    assert_eq!(
        retry.reconfigure(&config).unwrap_err().field(),
        "max_attempts"
    );
    assert_eq!(retry.config().max_attempts, 9);
}

#[test]
fn a_budget_has_a_floor_that_time_refills() {
    let clock = ManualClock::new();
    let budget = RetryBudget::builder()
        .ratio(0.1)
        .floor_per_second(5)
        .clock(clock.shared())
        .build()
        .unwrap();
    let take = |n: usize| {
        (0..n)
            .filter_map(|_| budget.try_retry())
            .map(|mut grant| grant.spend())
            .count()
    };
    assert_eq!(take(20), 5);
    clock.advance(ms(400));
    assert_eq!(take(20), 2);
}

#[test]
fn what_calls_save_up_is_bounded() {
    let budget = RetryBudget::builder()
        .ratio(1.0)
        .floor_per_second(0)
        .capacity(3)
        .build()
        .unwrap();
    for _ in 0..1000 {
        budget.deposit();
    }
    assert_eq!(budget.balance(), 3);
}

#[test]
fn retries_in_flight_are_a_share_of_calls_in_flight() {
    let budget = RetryBudget::builder()
        .without_ratio()
        .in_flight(0.2, 3)
        .build()
        .unwrap();
    let take = || {
        std::iter::from_fn(|| budget.try_retry())
            .take(1000)
            .collect::<Vec<_>>()
    };
    assert_eq!(take().len(), 3, "the least");
    let calls: Vec<_> = (0..50).map(|_| budget.call()).collect();
    let retrying = take();
    assert_eq!(retrying.len(), 10);
    drop(retrying);
    drop(calls);
    assert_eq!(take().len(), 3);
}

#[test]
fn a_grant_that_was_not_spent_goes_back() {
    let budget = RetryBudget::ratio(1.0).unwrap();
    budget.deposit();
    drop(budget.try_retry().unwrap());
    let mut grant = budget.try_retry().expect("given back");
    grant.spend();
    drop(grant);
    assert!(budget.try_retry().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_wait_is_within_its_bounds(
        base in 1u64..u64::MAX,
        more in 0u64..u64::MAX,
        seed in any::<u64>(),
        jitter in prop_oneof![Just(Jitter::None), Just(Jitter::Full), Just(Jitter::Decorrelated)],
    ) {
        let (base, longest) = (Duration::from_nanos(base), Duration::from_nanos(base.saturating_add(more)));
        let mut backoff = Backoff::new(base, longest).unwrap().jitter(jitter).seed(seed);
        let mut exponential = base;
        for _ in 0..2000 {
            let wait = backoff.next_delay();
            prop_assert!(wait <= longest);
            match jitter {
                Jitter::Full => prop_assert!(wait <= exponential),
                Jitter::None => prop_assert_eq!(wait, exponential),
                // A wait is at least the base.
                _ => prop_assert!(wait >= base),
            }
            exponential = exponential.saturating_mul(2).min(longest);
        }
        backoff.reset();
        if jitter == Jitter::None {
            prop_assert_eq!(backoff.next_delay(), base);
        }
    }
}

#[test]
fn decorrelated_waits_differ_and_grow() {
    let backoff = Backoff::new(ms(100), secs(86_400))
        .unwrap()
        .jitter(Jitter::Decorrelated)
        .seed(3);
    let waits: Vec<_> = backoff.take(12).collect();
    assert!(waits[0] <= ms(300));
    assert!(waits.iter().max() > Some(&secs(1)));
    let distinct: std::collections::BTreeSet<_> = waits.iter().collect();
    assert_eq!(distinct.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_as_long_as_the_other_side_pleases() {
    let retry = plain().longest_asked(secs(5)).build().unwrap();
    for (asked, attempts) in [(secs(5), 4), (secs(6), 1), (Duration::MAX, 1)] {
        let mut made = 0;
        let _: Result<(), ()> = retry
            .run(
                |_| RetryDecision::RetryAfter(asked),
                |_| {
                    made += 1;
                    async { Err(()) }
                },
            )
            .await;
        assert_eq!(made, attempts, "{asked:?}");
    }
}
