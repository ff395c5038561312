//! Clocks and deadlines.

use std::time::Duration;

use mainstay_resilience::{
    Clock, Deadline, ManualClock, SystemClock, TokioClock, default_clock, system_clock,
};

use crate::support::{ms, secs};

#[test]
fn the_system_clock_moves_forward_and_knows_the_date() {
    let clock = system_clock();
    let first = clock.now();
    assert!(clock.now() >= first);
    // 2024-01-01, and the year 2200.
    assert!((1_704_067_200..7_258_118_400).contains(&clock.unix_time().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn the_default_clock_follows_paused_time() {
    let clock = default_clock();
    let start = clock.now();
    tokio::time::advance(secs(3600)).await;
    assert_eq!(clock.now() - start, secs(3600));
}

#[test]
fn the_clocks_of_the_machine_share_their_origin() {
    let (system, tokio) = (SystemClock.now(), TokioClock.now());
    assert!(tokio.saturating_sub(system) < secs(60));
    assert!(system.saturating_sub(tokio) < secs(60));
}

#[test]
fn a_manual_clock_moves_when_told() {
    let clock = ManualClock::new();
    clock.set_unix_time(secs(1_000_000));
    clock.advance(ms(1500));
    assert_eq!(
        (clock.now(), clock.unix_time()),
        (ms(1500), ms(1_000_001_500))
    );
    clock.advance(Duration::MAX);
    assert_eq!(clock.now(), Duration::MAX);
}

#[test]
fn a_deadline_runs_down() {
    let clock = ManualClock::new();
    let deadline = Deadline::after(&clock, secs(5));
    assert_eq!(deadline.remaining(&clock), secs(5));
    assert_eq!(deadline.earliest(Deadline::never()), deadline);
    assert_eq!(
        deadline
            .earliest(Deadline::after(&clock, secs(2)))
            .remaining(&clock),
        secs(2)
    );
    clock.advance(secs(5));
    assert!(deadline.is_expired(&clock));
    clock.advance(secs(5));
    assert_eq!(deadline.remaining(&clock), Duration::ZERO);
    assert!(!Deadline::never().is_expired(&clock));
    assert!(Deadline::after(&clock, Duration::MAX).is_never());
}
