//! The breaker against a simple model of it.
//!
//! The model keeps every result and looks at all of them after each call; the
//! breaker counts in cells and bits and mostly looks at nothing. Random
//! schedules must not tell them apart.

use std::{collections::VecDeque, time::Duration};

use mainstay_resilience::{
    BreakerConfig, CircuitBreaker, ManualClock, Outcome, Permit, RejectedKind, State, Trip,
};
use proptest::{collection::vec, prelude::*};

use crate::support::{long, ms, panic_quietly, panicking};

/// One step of a schedule. Numbers pick one of the permits that are held.
#[derive(Debug, Clone)]
enum Step {
    Acquire,
    Record(usize, Outcome),
    Cancel(usize),
    Panic(usize),
    Advance(u64),
    Force(State),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Success),
        5 => Just(Outcome::Failure),
        1 => Just(Outcome::Ignore),
    ];
    prop_oneof![
        10 => Just(Step::Acquire),
        9 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Record(which, outcome)),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Panic),
        5 => (0u64..3000).prop_map(Step::Advance),
        1 => (0u64..30_000).prop_map(Step::Advance),
        1 => prop_oneof![
            4 => Just(Step::Force(State::Closed)),
            1 => Just(Step::Force(State::ForcedOpen)),
            1 => Just(Step::Force(State::ForcedClosed)),
            1 => Just(Step::Force(State::Disabled)),
            1 => Just(Step::Force(State::MetricsOnly)),
        ],
    ]
}

fn config() -> impl Strategy<Value = BreakerConfig> {
    let rate = prop_oneof![Just(0.1), Just(0.5), Just(1.0), 0.01f64..1.0];
    let trip =
        prop_oneof![
            (1u32..6).prop_map(Trip::consecutive),
            (1u32..12, rate.clone(), 1u32..12).prop_map(|(size, rate, least)| Trip::count_window(
                size,
                rate,
                least.min(size)
            )),
            (100u64..8000, rate.clone(), 1u32..12)
                .prop_map(|(length, rate, least)| Trip::time_window(ms(length), rate, least)),
        ];
    let slow = proptest::option::of((100u64..4000, rate));
    (trip, slow, 1u64..8000, 1u32..5, 1u64..5000, 0u64..8000).prop_map(
        |(trip, slow, open_for, probes, probe_timeout, ramp)| {
            let mut config = BreakerConfig::default();
            config.trip = trip;
            if let (Some((slow, rate)), false) = (slow, matches!(trip, Trip::Consecutive(_))) {
                config.slow_call = Some(ms(slow));
                config.slow_call_rate = rate;
            }
            config.open_for = ms(open_for);
            config.max_open_for = ms(20_000);
            config.half_open_probes = probes;
            config.probe_timeout = ms(probe_timeout);
            config.ramp = if ramp < 4000 {
                Duration::ZERO
            } else {
                ms(ramp)
            };
            config
        },
    )
}

/// What the model remembers of a result: the cell of time it fell into, whether
/// it failed, whether it was slow.
type Result = (u64, bool, bool);

#[derive(Debug)]
struct Model {
    config: BreakerConfig,
    now: Duration,
    state: State,
    generation: u64,
    results: VecDeque<Result>,
    trips: u32,
    opened_at: Duration,
    open_for: Duration,
    closed_at: Duration,
    probes: Vec<(u64, Duration)>,
    next_probe: u64,
    answers: Vec<(bool, bool)>,
    ramp_since: Duration,
    ramp_credit: u32,
}

#[derive(Debug, Clone, Copy)]
struct Admitted {
    generation: u64,
    started: Duration,
    probe: Option<u64>,
}

impl Model {
    fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            now: Duration::ZERO,
            state: State::Closed,
            generation: 0,
            results: VecDeque::new(),
            trips: 0,
            opened_at: Duration::ZERO,
            open_for: Duration::ZERO,
            closed_at: Duration::ZERO,
            probes: Vec::new(),
            next_probe: 0,
            answers: Vec::new(),
            ramp_since: Duration::ZERO,
            ramp_credit: 0,
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
        self.results.clear();
        self.probes.clear();
        self.answers.clear();
    }

    fn acquire(&mut self) -> std::result::Result<Admitted, RejectedKind> {
        if self.state == State::Open && self.now >= self.opened_at + self.open_for {
            self.enter(State::HalfOpen);
        }
        let mut probe = None;
        match self.state {
            State::Open => return Err(RejectedKind::CircuitOpen),
            State::ForcedOpen => return Err(RejectedKind::ForcedOpen),
            State::HalfOpen => {
                let places = self.config.half_open_probes as usize;
                if self.answers.len() + self.probes.len() >= places {
                    let (_, since) = self.probes[0];
                    if self.now - since < self.config.probe_timeout {
                        return Err(RejectedKind::ProbesBusy);
                    }
                    self.probes.remove(0);
                }
                self.next_probe += 1;
                self.probes.push((self.next_probe, self.now));
                probe = Some(self.next_probe);
            }
            State::Recovering => {
                let elapsed = self.now - self.ramp_since;
                if elapsed >= self.config.ramp {
                    self.state = State::Closed;
                } else {
                    let share = elapsed.as_secs_f64() / self.config.ramp.as_secs_f64();
                    self.ramp_credit += 100 + (900.0 * share) as u32;
                    if self.ramp_credit < 1000 {
                        return Err(RejectedKind::RampingUp);
                    }
                    self.ramp_credit = self.ramp_credit.min(2000) - 1000;
                }
            }
            _ => {}
        }
        Ok(Admitted {
            generation: self.generation,
            started: self.now,
            probe,
        })
    }

    fn record(&mut self, admitted: Admitted, outcome: Outcome) {
        if admitted.generation != self.generation {
            return;
        }
        let failed = outcome == Outcome::Failure;
        let slow = self
            .config
            .slow_call
            .is_some_and(|slow| self.now - admitted.started >= slow);
        if let Some(probe) = admitted.probe {
            self.probes.retain(|(number, _)| *number != probe);
            if outcome != Outcome::Ignore {
                self.answers.push((failed, slow));
                self.judge_probes();
            }
            return;
        }
        if outcome == Outcome::Ignore || self.state == State::Disabled {
            return;
        }
        let cell = match self.config.trip {
            Trip::TimeWindow { length, .. } => {
                (self.now.as_nanos() / (length.as_nanos() / 10)) as u64
            }
            _ => 0,
        };
        self.results.push_back((cell, failed, slow));
        self.forget_old(cell);
        if self.is_bad() {
            match self.state {
                State::Closed | State::Recovering => self.open(),
                State::MetricsOnly => self.results.clear(),
                _ => {}
            }
        }
    }

    fn forget_old(&mut self, cell: u64) {
        match self.config.trip {
            Trip::CountWindow { size, .. } => {
                while self.results.len() > size as usize {
                    self.results.pop_front();
                }
            }
            Trip::TimeWindow { .. } => self.results.retain(|(other, ..)| cell - other < 10),
            _ => {}
        }
    }

    fn is_bad(&self) -> bool {
        let calls = self.results.len();
        let (rate, least) = match self.config.trip {
            Trip::Consecutive(failures) => {
                let in_a_row = self
                    .results
                    .iter()
                    .rev()
                    .take_while(|(_, failed, _)| *failed);
                return in_a_row.count() >= failures as usize;
            }
            Trip::CountWindow {
                failure_rate,
                min_calls,
                ..
            }
            | Trip::TimeWindow {
                failure_rate,
                min_calls,
                ..
            } => (failure_rate, min_calls),
            _ => unreachable!("no other kind is generated"),
        };
        let failures = self.results.iter().filter(|(_, failed, _)| *failed).count();
        let slow = self.results.iter().filter(|(.., slow)| *slow).count();
        calls >= least as usize
            && (failures as f64 / calls as f64 >= rate && failures > 0
                || slow > 0 && slow as f64 / calls as f64 >= self.config.slow_call_rate)
    }

    fn judge_probes(&mut self) {
        let probes = f64::from(self.config.half_open_probes);
        let failed = self.answers.iter().filter(|(failed, _)| *failed).count();
        let slow = self.answers.iter().filter(|(_, slow)| *slow).count();
        let rate = match self.config.trip {
            Trip::CountWindow { failure_rate, .. } | Trip::TimeWindow { failure_rate, .. } => {
                failure_rate
            }
            _ => 0.0,
        };
        if failed > 0 && failed as f64 / probes >= rate
            || slow > 0 && slow as f64 / probes >= self.config.slow_call_rate
        {
            self.open();
        } else if self.answers.len() >= self.config.half_open_probes as usize {
            self.closed_at = self.now;
            if self.config.ramp.is_zero() {
                self.enter(State::Closed);
            } else {
                self.ramp_since = self.now;
                self.ramp_credit = 1000;
                self.enter(State::Recovering);
            }
        }
    }

    fn open_time(&self, trips: u32) -> Duration {
        let longest = self.config.max_open_for.max(self.config.open_for);
        (self.config.open_for * 2u32.pow((trips - 1).min(15))).min(longest)
    }

    fn open(&mut self) {
        let again = self.state == State::HalfOpen
            || self.trips > 0
                && self.now - self.closed_at < self.open_time(self.trips) + self.config.ramp;
        self.trips = if again { self.trips + 1 } else { 1 };
        self.opened_at = self.now;
        self.open_for = self.open_time(self.trips);
        self.enter(State::Open);
    }

    fn force(&mut self, state: State) {
        self.trips = 0;
        self.enter(state);
    }
}

fn run(config: BreakerConfig, steps: Vec<Step>) {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::builder("model")
        .config(config.clone())
        .clock(clock.shared())
        .build()
        .unwrap();
    let mut model = Model::new(config);
    let mut held: Vec<(Permit, Admitted)> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        let context = format!("step {number}: {step:?}");
        let mut pick = |which: usize| {
            (!held.is_empty()).then(|| {
                let index = which % held.len();
                held.swap_remove(index)
            })
        };
        match step {
            Step::Acquire => match (breaker.try_acquire(), model.acquire()) {
                (Ok(permit), Ok(admitted)) => {
                    assert_eq!(permit.is_probe(), admitted.probe.is_some(), "{context}");
                    held.push((permit, admitted));
                }
                (Err(rejected), Err(kind)) => assert_eq!(rejected.kind(), kind, "{context}"),
                (real, model) => panic!("{context}: {real:?}, but the model says {model:?}"),
            },
            Step::Record(which, outcome) => {
                if let Some((permit, admitted)) = pick(which) {
                    permit.record(outcome);
                    model.record(admitted, outcome);
                }
            }
            Step::Cancel(which) => {
                if let Some((permit, admitted)) = pick(which) {
                    drop(permit);
                    model.record(admitted, Outcome::Ignore);
                }
            }
            Step::Panic(which) => {
                if let Some((permit, admitted)) = pick(which) {
                    panicking(|| {
                        let _permit = permit;
                        panic_quietly();
                    });
                    model.record(admitted, Outcome::Failure);
                }
            }
            Step::Advance(by) => {
                clock.advance(ms(by));
                model.now += ms(by);
            }
            Step::Force(state) => {
                match state {
                    State::ForcedOpen => breaker.force_open(),
                    State::ForcedClosed => breaker.force_closed(),
                    State::Disabled => breaker.disable(),
                    State::MetricsOnly => breaker.metrics_only(),
                    _ => breaker.reset(),
                }
                model.force(state);
            }
        }
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.state, model.state, "{context}");
        assert_eq!(snapshot.probes, model.probes.len(), "{context}");
        assert_eq!(snapshot.trips, model.trips, "{context}");
        assert_eq!(snapshot.generation, model.generation, "{context}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if long() { 10_000 } else { 500 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_breaker_behaves_as_its_model(config in config(), steps in vec(step(), 1..200)) {
        run(config, steps);
    }
}
