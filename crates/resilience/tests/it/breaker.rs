//! The circuit breaker beyond its probes.

use std::{sync::Arc, time::Duration};

use mainstay_resilience::{
    BreakerConfig, CircuitBreaker, CircuitBreakerBuilder, Error, ManualClock, Outcome,
    RejectedKind, State, Trip,
};

use crate::support::{Recorder, ms, secs};

fn build(builder: CircuitBreakerBuilder, clock: &ManualClock) -> CircuitBreaker {
    builder.clock(clock.shared()).build().unwrap()
}

fn record(breaker: &CircuitBreaker, outcomes: &[Outcome]) {
    for outcome in outcomes {
        breaker.try_acquire().unwrap().record(*outcome);
    }
}

use Outcome::{Failure, Ignore, Success};

#[test]
fn five_failures_open_it_for_sixty_seconds_by_default() {
    let clock = ManualClock::new();
    let breaker = build(CircuitBreaker::builder("default"), &clock);
    record(&breaker, &[Failure; 4]);
    record(&breaker, &[Success]);
    record(&breaker, &[Failure; 4]);
    assert_eq!(
        breaker.state(),
        State::Closed,
        "a success starts the count over"
    );
    record(&breaker, &[Ignore, Failure]);
    assert_eq!(breaker.state(), State::Open, "an ignored call does not");
    clock.advance(secs(20));
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.kind(), RejectedKind::CircuitOpen);
    assert_eq!(rejected.retry_after(), Some(secs(40)));
    clock.advance(secs(40));
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn expected_errors_can_be_left_out() {
    let clock = ManualClock::new();
    let breaker = build(
        CircuitBreaker::builder("expected").consecutive_failures(1),
        &clock,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let not_found = |result: Result<&(), &&str>| match result {
        Err(error) if *error == "not found" => Ignore,
        other => Outcome::of(other),
    };
    runtime.block_on(async {
        let result = breaker
            .run_with(not_found, async { Err("not found") })
            .await;
        assert_eq!(result, Err(Error::Inner("not found")));
        assert_eq!(breaker.state(), State::Closed);
        let _ = breaker.run_with(not_found, async { Err("refused") }).await;
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn a_value_can_be_a_failure() {
    let clock = ManualClock::new();
    let breaker = build(
        CircuitBreaker::builder("status").consecutive_failures(1),
        &clock,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let status = |result: Result<&u16, &()>| match result {
        Ok(500..) => Failure,
        other => Outcome::of(other),
    };
    let result = runtime.block_on(breaker.run_with(status, async { Ok(503) }));
    assert_eq!(result, Ok(503));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_success_that_completes_the_minimum_is_looked_at_too() {
    let clock = ManualClock::new();
    for builder in [
        CircuitBreaker::builder("count").count_window(10, 0.5, 4),
        CircuitBreaker::builder("time").time_window(secs(10), 0.5, 4),
    ] {
        let breaker = build(builder, &clock);
        record(&breaker, &[Failure, Failure, Success]);
        assert_eq!(breaker.state(), State::Closed);
        record(&breaker, &[Success]);
        assert_eq!(breaker.state(), State::Open);
    }
}

#[test]
fn old_results_leave_a_time_window() {
    let clock = ManualClock::new();
    let breaker = build(
        CircuitBreaker::builder("time").time_window(secs(10), 0.5, 4),
        &clock,
    );
    record(&breaker, &[Failure; 3]);
    clock.advance(secs(10));
    record(&breaker, &[Failure; 3]);
    assert_eq!(
        breaker.state(),
        State::Closed,
        "three of these, and three long ago"
    );
    record(&breaker, &[Failure]);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn failures_that_remain_when_successes_leave_the_window_open_it() {
    let clock = ManualClock::new();
    let breaker = build(
        CircuitBreaker::builder("time").time_window(secs(10), 0.5, 4),
        &clock,
    );
    record(&breaker, &[Success; 20]);
    clock.advance(secs(8));
    record(&breaker, &[Failure; 5]);
    assert_eq!(breaker.state(), State::Closed, "5 of 25");
    clock.advance(secs(3));
    record(&breaker, &[Success]);
    assert_eq!(breaker.state(), State::Open, "5 of 6");
}

#[test]
fn slow_calls_open_it_as_well() {
    let clock = ManualClock::new();
    for builder in [
        CircuitBreaker::builder("count").count_window(4, 1.0, 4),
        CircuitBreaker::builder("time").time_window(secs(100), 1.0, 4),
    ] {
        let breaker = build(builder.slow_calls(secs(2), 0.5), &clock);
        record(&breaker, &[Success, Success]);
        for _ in 0..2 {
            assert_eq!(breaker.state(), State::Closed);
            let permit = breaker.try_acquire().unwrap();
            clock.advance(secs(2));
            permit.success();
        }
        assert_eq!(breaker.state(), State::Open);
    }
}

#[test]
fn a_hung_probe_loses_its_slot_but_not_its_word() {
    let clock = ManualClock::new();
    let builder = CircuitBreaker::builder("hung")
        .consecutive_failures(1)
        .open_for(secs(1))
        .probe_timeout(secs(5));
    let breaker = build(builder, &clock);
    record(&breaker, &[Failure]);
    clock.advance(secs(1));
    let hung = breaker.try_acquire().unwrap();
    let busy = breaker.try_acquire().unwrap_err();
    assert_eq!(busy.kind(), RejectedKind::ProbesBusy);
    assert_eq!(busy.retry_after(), Some(secs(5)));
    clock.advance(secs(5));
    let second = breaker.try_acquire().expect("the hung probe's slot");
    assert!(breaker.try_acquire().is_err());
    // It was slow, and yet it answered: that is what a probe is for.
    hung.success();
    assert_eq!(breaker.state(), State::Closed);
    second.failure();
    assert_eq!(breaker.state(), State::Closed, "the second probe is stale");
}

#[test]
fn a_rate_decides_about_probes_as_it_does_about_calls() {
    let clock = ManualClock::new();
    let builder = CircuitBreaker::builder("rate")
        .count_window(4, 0.5, 4)
        .open_for(secs(1))
        .half_open_probes(4);
    let breaker = build(builder, &clock);
    record(&breaker, &[Failure; 4]);
    clock.advance(secs(1));
    record(&breaker, &[Success, Failure, Success]);
    assert_eq!(breaker.state(), State::HalfOpen);
    record(&breaker, &[Success]);
    assert_eq!(
        breaker.state(),
        State::Closed,
        "one failure of four is below the half"
    );
}

#[test]
fn recovery_admits_a_tenth_and_then_more() {
    let clock = ManualClock::new();
    let builder = CircuitBreaker::builder("ramp")
        .consecutive_failures(1)
        .open_for(secs(1))
        .ramp(secs(100));
    let breaker = build(builder, &clock);
    record(&breaker, &[Failure]);
    clock.advance(secs(1));
    record(&breaker, &[Success]);
    assert_eq!(breaker.state(), State::Recovering);
    let admitted = |n: usize| {
        (0..n)
            .filter(|_| breaker.try_acquire().map(|permit| permit.success()).is_ok())
            .count()
    };
    assert_eq!(admitted(101), 11, "the first, and a tenth of the others");
    clock.advance(secs(50));
    let half_way = admitted(100);
    assert!((54..=56).contains(&half_way), "{half_way}");
    let refused = (0..10).find_map(|_| breaker.try_acquire().err()).unwrap();
    assert_eq!(refused.kind(), RejectedKind::RampingUp);
    assert!(refused.retry_after().is_some());
    clock.advance(secs(50));
    assert_eq!(admitted(100), 100);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_failure_during_recovery_opens_it_again_for_longer() {
    let clock = ManualClock::new();
    let builder = CircuitBreaker::builder("ramp")
        .consecutive_failures(1)
        .open_for(secs(1))
        .ramp(secs(100));
    let breaker = build(builder, &clock);
    record(&breaker, &[Failure]);
    clock.advance(secs(1));
    record(&breaker, &[Success, Failure]);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.retry_after(), Some(secs(2)));
}

#[test]
fn the_open_time_doubles_up_to_its_bound_and_starts_over_after_a_lasting_recovery() {
    let clock = ManualClock::new();
    let builder = CircuitBreaker::builder("backoff")
        .consecutive_failures(1)
        .open_for(secs(1))
        .open_backoff(2.0, secs(5));
    let breaker = build(builder, &clock);
    for expected in [1, 2, 4, 5, 5] {
        record(&breaker, &[Failure]);
        assert_eq!(breaker.retry_after(), Some(secs(expected)));
        clock.advance(secs(expected));
    }
    record(&breaker, &[Success]);
    clock.advance(secs(5));
    record(&breaker, &[Failure]);
    assert_eq!(breaker.retry_after(), Some(secs(1)));
}

#[test]
fn operators_can_force_it() {
    let clock = ManualClock::new();
    let (recorder, observer) = Recorder::new();
    let builder = CircuitBreaker::builder("forced")
        .consecutive_failures(2)
        .observer(observer);
    let breaker = build(builder, &clock);

    breaker.force_open();
    assert_eq!(
        breaker.try_acquire().unwrap_err().kind(),
        RejectedKind::ForcedOpen
    );

    breaker.force_closed();
    record(&breaker, &[Failure; 10]);
    assert_eq!(breaker.state(), State::ForcedClosed);
    assert_eq!(breaker.snapshot().failures, 10);

    breaker.disable();
    record(&breaker, &[Failure; 10]);
    assert_eq!(breaker.snapshot().failures, 0);

    breaker.metrics_only();
    record(&breaker, &[Failure; 4]);
    assert_eq!(breaker.state(), State::MetricsOnly);
    assert_eq!(recorder.count("WouldOpen"), 2);

    breaker.reset();
    record(&breaker, &[Failure; 2]);
    assert_eq!(breaker.state(), State::Open);
    breaker.reset();
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().trips, 0);
}

#[test]
fn a_clock_that_steps_backwards_changes_nothing() {
    let clock = ManualClock::new();
    clock.advance(secs(10_000));
    let builder = CircuitBreaker::builder("clock")
        .time_window(secs(10), 0.5, 4)
        .open_for(secs(60));
    let breaker = build(builder, &clock);
    record(&breaker, &[Success, Success]);
    clock.set(secs(1000));
    record(&breaker, &[Failure]);
    assert_eq!(
        breaker.snapshot().calls,
        3,
        "the window neither forgets nor goes blind"
    );
    record(&breaker, &[Failure]);
    assert_eq!(breaker.state(), State::Open);
    // While open: the wait begins again at most.
    clock.set(Duration::ZERO);
    assert_eq!(
        breaker.try_acquire().unwrap_err().retry_after(),
        Some(secs(60))
    );
    clock.advance(secs(60));
    let probe = breaker.try_acquire().unwrap();
    clock.set(Duration::ZERO);
    assert!(breaker.try_acquire().is_err(), "the probe keeps its slot");
    clock.advance(secs(30));
    let second = breaker
        .try_acquire()
        .expect("and loses it after its time limit at most");
    probe.success();
    drop(second);
    assert_eq!(breaker.state(), State::Closed);
    for _ in 0..3 {
        record(&breaker, &[Failure]);
    }
    assert_eq!(breaker.state(), State::Closed);
    record(&breaker, &[Failure]);
    assert_eq!(breaker.state(), State::Open, "and it still works");
}

#[test]
fn wall_time_does_not_matter() {
    let clock = ManualClock::new();
    let breaker = build(
        CircuitBreaker::builder("wall").consecutive_failures(1),
        &clock,
    );
    record(&breaker, &[Failure]);
    clock.set_unix_time(secs(4_000_000_000));
    assert!(breaker.try_acquire().is_err());
    clock.set_unix_time(Duration::ZERO);
    clock.advance(secs(60));
    assert!(breaker.try_acquire().is_ok());
}

#[test]
fn new_settings_keep_what_was_learned() {
    let clock = ManualClock::new();
    let breaker = build(
        CircuitBreaker::builder("reload").time_window(secs(10), 0.5, 10),
        &clock,
    );
    record(&breaker, &[Failure; 8]);
    let mut config = breaker.config();
    config.trip = Trip::time_window(secs(10), 0.5, 9);
    breaker.reconfigure(&config).unwrap();
    assert_eq!(breaker.snapshot().failures, 8);
    record(&breaker, &[Failure]);
    assert_eq!(breaker.state(), State::Open);
    config.open_for = secs(5);
    breaker.reconfigure(&config).unwrap();
    assert_eq!(breaker.state(), State::Open, "a reload closes nothing");

    config.trip = Trip::count_window(3, 0.9, 3);
    breaker.reconfigure(&config).unwrap();
    clock.advance(secs(60));
    record(&breaker, &[Success]);
    record(&breaker, &[Failure; 3]);
    assert_eq!(
        breaker.state(),
        State::Open,
        "the window of another kind works at once"
    );
    assert!(
        breaker
            .reconfigure(&{
                let mut wrong = BreakerConfig::default();
                wrong.half_open_probes = 0;
                wrong
            })
            .is_err()
    );
    assert_eq!(breaker.config(), config, "wrong settings change nothing");
}

#[test]
fn every_change_is_told_in_order_and_outside_the_locks() {
    let clock = ManualClock::new();
    #[derive(Debug)]
    struct Asks(
        std::sync::Mutex<Option<CircuitBreaker>>,
        std::sync::Mutex<Vec<State>>,
    );
    impl mainstay_resilience::Observer for Asks {
        fn on_event(&self, _: &mainstay_resilience::Event<'_>) {
            // Deadlocks if an event is told under the breaker's lock.
            if let Some(breaker) = &*self.0.lock().unwrap() {
                self.1.lock().unwrap().push(breaker.snapshot().state);
            }
        }
    }
    let asks = Arc::new(Asks(None.into(), Vec::new().into()));
    let builder = CircuitBreaker::builder("told")
        .consecutive_failures(1)
        .open_for(secs(1))
        .observer(asks.clone());
    let breaker = build(builder, &clock);
    *asks.0.lock().unwrap() = Some(breaker.clone());
    record(&breaker, &[Failure]);
    assert!(breaker.try_acquire().is_err());
    clock.advance(secs(1));
    record(&breaker, &[Success]);
    breaker.force_open();
    let told = asks.1.lock().unwrap().clone();
    assert_eq!(
        told,
        [
            State::Open,
            State::Open,
            State::HalfOpen,
            State::Closed,
            State::ForcedOpen
        ]
    );
}

#[test]
fn permits_outlive_the_handle_that_gave_them() {
    let clock = ManualClock::new();
    let breaker = build(
        CircuitBreaker::builder("stream").consecutive_failures(1),
        &clock,
    );
    let permit = breaker.clone().try_acquire().unwrap();
    let thread = std::thread::spawn(move || permit.failure());
    thread.join().unwrap();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn threads_together_open_it_as_one_would() {
    let clock = ManualClock::new();
    let breaker = build(
        CircuitBreaker::builder("threads").time_window(secs(10), 0.5, 4000),
        &clock,
    );
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let breaker = &breaker;
            scope.spawn(move || {
                for _ in 0..999 {
                    let outcome = if thread % 2 == 0 { Success } else { Failure };
                    breaker.try_acquire().unwrap().record(outcome);
                }
            });
        }
    });
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.calls, snapshot.failures), (3996, 1998));
    record(&breaker, &[Success, Failure, Success]);
    assert_eq!(breaker.state(), State::Closed);
    record(&breaker, &[Failure]);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn pausing_tokio_moves_a_breaker_without_a_clock_of_its_own() {
    let breaker = CircuitBreaker::builder("paused")
        .consecutive_failures(1)
        .open_for(ms(1500))
        .build()
        .unwrap();
    record(&breaker, &[Failure]);
    tokio::time::advance(ms(1499)).await;
    assert!(breaker.try_acquire().is_err());
    tokio::time::advance(ms(1)).await;
    assert!(breaker.try_acquire().is_ok());
}

#[test]
fn fewer_probes_than_have_answered_do_not_wedge_it() {
    let clock = ManualClock::new();
    let builder = CircuitBreaker::builder("fewer")
        .count_window(10, 1.0, 1)
        .open_for(secs(1))
        .half_open_probes(5);
    let breaker = build(builder, &clock);
    record(&breaker, &[Failure]);
    clock.advance(secs(1));
    record(&breaker, &[Success, Success]);
    let mut config = breaker.config();
    config.half_open_probes = 1;
    breaker.reconfigure(&config).unwrap();
    record(&breaker, &[Success]);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_window_of_another_width_does_not_mix_with_the_old_one() {
    let clock = ManualClock::new();
    let breaker = build(
        CircuitBreaker::builder("width").time_window(ms(10), 1.0, 3),
        &clock,
    );
    clock.advance(secs(100_000));
    let old = breaker.try_acquire().unwrap();
    record(&breaker, &[Failure]);
    let mut config = breaker.config();
    config.trip = Trip::time_window(secs(100), 1.0, 3);
    breaker.reconfigure(&config).unwrap();
    old.failure();
    assert_eq!(breaker.snapshot().calls, 0);
    record(&breaker, &[Failure, Failure]);
    clock.advance(secs(50));
    assert_eq!(breaker.snapshot().failures, 2);
    clock.advance(secs(60));
    assert_eq!(
        breaker.snapshot().failures,
        0,
        "they leave the window in time"
    );
}
