//! The state machine of a breaker.
//!
//! The hot path reads one word. Everything that changes the state happens
//! under the gate's lock, and what is to be told about it is told after the
//! lock is released.

use std::time::Duration;

use super::{
    BreakerSnapshot, Outcome, State,
    builder::{BreakerConfig, Trip},
    count_window::CountWindow,
    gate::{Gate, Step, Verdict},
    permit::Admission,
    state::Word,
    time_window::{Sample, TimeWindow, Totals},
};
use crate::{
    Name, Rejected, RejectedKind, SharedClock,
    observer::{Event, Watch},
    sliding::SlidingWindow,
    sync::{AtomicU64, Mutex, Ordering, Settings, lock, nanos},
};

/// The settings that every call needs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Hot {
    kind: Kind,
    /// Failures in a row, or the width of a time cell in nanoseconds.
    number: u64,
    min_calls: u64,
    /// Nanoseconds from which a call is slow; `u64::MAX` when nobody measures.
    slow: u64,
    failure_rate: f64,
    slow_rate: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Consecutive,
    Count,
    Time,
}

impl Hot {
    fn of(config: &BreakerConfig) -> Self {
        let (kind, number) = match config.trip {
            Trip::Consecutive(failures) => (Kind::Consecutive, failures.into()),
            Trip::CountWindow { size, .. } => (Kind::Count, size.into()),
            Trip::TimeWindow { length, .. } => (Kind::Time, SlidingWindow::cell_width(length)),
        };
        Self {
            kind,
            number,
            min_calls: config.trip.min_calls().into(),
            slow: config.slow_call.map_or(u64::MAX, nanos),
            failure_rate: config.trip.failure_rate(),
            slow_rate: config.slow_call_rate,
        }
    }

    fn pack(self) -> [u64; 6] {
        [
            self.kind as u64,
            self.number,
            self.min_calls,
            self.slow,
            self.failure_rate.to_bits(),
            self.slow_rate.to_bits(),
        ]
    }

    fn unpack([kind, number, min_calls, slow, failure_rate, slow_rate]: [u64; 6]) -> Self {
        let kind = match kind {
            0 => Kind::Consecutive,
            1 => Kind::Count,
            _ => Kind::Time,
        };
        Self {
            kind,
            number,
            min_calls,
            slow,
            failure_rate: f64::from_bits(failure_rate),
            slow_rate: f64::from_bits(slow_rate),
        }
    }

    /// Whether the results in a window are bad enough to open.
    fn exceeded_by(&self, totals: Totals) -> bool {
        if totals.calls < self.min_calls.max(1) {
            return false;
        }
        let share = |part: u64| part as f64 / totals.calls as f64;
        (totals.failures > 0 && share(totals.failures) >= self.failure_rate)
            || (totals.slow > 0 && share(totals.slow) >= self.slow_rate)
    }
}

#[derive(Debug)]
pub(crate) struct Machine {
    word: AtomicU64,
    /// When the breaker opened and for how long, in nanoseconds: written
    /// before the word says open.
    opened_at: AtomicU64,
    open_for: AtomicU64,
    /// Failures in a row below the generation that they belong to.
    streak: AtomicU64,
    hot: Settings<6>,
    time: TimeWindow,
    count: CountWindow,
    gate: Mutex<Gate>,
    clock: SharedClock,
    observer: Watch,
    name: Name,
}

/// A change of state to be told after the lock is released.
#[derive(Debug, Clone, Copy)]
struct Change {
    from: State,
    to: State,
}

impl Machine {
    pub(super) fn new(
        name: Name,
        config: BreakerConfig,
        clock: SharedClock,
        observer: Watch,
    ) -> Self {
        Self {
            word: AtomicU64::new(
                Word {
                    state: State::Closed,
                    generation: 0,
                }
                .pack(),
            ),
            opened_at: AtomicU64::new(0),
            open_for: AtomicU64::new(0),
            streak: AtomicU64::new(0),
            hot: Settings::new(Hot::of(&config).pack()),
            time: TimeWindow::new(),
            count: CountWindow::new(ring_size(&config)),
            gate: Mutex::new(Gate::new(config)),
            clock,
            observer,
            name,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn state(&self) -> State {
        self.word().state
    }

    fn word(&self) -> Word {
        Word::unpack(self.word.load(Ordering::Acquire))
    }

    /// Call with the gate locked.
    fn set_word(&self, word: Word) {
        self.word.store(word.pack(), Ordering::Release);
    }

    // Admission

    pub(super) fn admit(&self) -> Result<Admission, Rejected> {
        let word = self.word();
        match word.state {
            State::Closed | State::ForcedClosed | State::MetricsOnly => {
                Ok(self.admission(word, None))
            }
            State::Disabled => Ok(Admission {
                generation: word.generation,
                started: Duration::ZERO,
                probe: None,
            }),
            State::ForcedOpen => Err(self.refuse(RejectedKind::ForcedOpen, None)),
            State::Open => match self.open_remaining(self.clock.now()) {
                Some(left) => Err(self.refuse(RejectedKind::CircuitOpen, Some(left))),
                None => self.admit_slowly(),
            },
            State::HalfOpen | State::Recovering => self.admit_slowly(),
        }
    }

    fn admission(&self, word: Word, probe: Option<u64>) -> Admission {
        let measured = Hot::unpack(self.hot.load()).slow != u64::MAX;
        Admission {
            generation: word.generation,
            started: if measured {
                self.clock.now()
            } else {
                Duration::ZERO
            },
            probe,
        }
    }

    fn refuse(&self, kind: RejectedKind, retry_after: Option<Duration>) -> Rejected {
        self.observer
            .rejected(Rejected::new(&self.name, kind, retry_after))
    }

    /// How long the breaker stays open, or nothing when that time is over or
    /// the clock has stepped back and the gate must look at it.
    fn open_remaining(&self, now: Duration) -> Option<Duration> {
        let opened_at = self.opened_at.load(Ordering::Acquire);
        let open_for = self.open_for.load(Ordering::Acquire);
        let elapsed = nanos(now).checked_sub(opened_at)?;
        let left = open_for.checked_sub(elapsed)?;
        (left > 0).then(|| Duration::from_nanos(left))
    }

    /// Decides under the lock: the breaker is not plainly closed.
    fn admit_slowly(&self) -> Result<Admission, Rejected> {
        let (decision, change) = {
            let mut gate = lock(&self.gate);
            // Read under the lock, so that the reading is no older than the
            // change that it is compared with.
            let now = self.clock.now();
            self.decide(&mut gate, now)
        };
        self.tell(change);
        let (word, probe) =
            decision.map_err(|(kind, retry_after)| self.refuse(kind, retry_after))?;
        Ok(self.admission(word, probe))
    }

    #[expect(clippy::type_complexity, reason = "used in one place")]
    fn decide(
        &self,
        gate: &mut Gate,
        now: Duration,
    ) -> (
        Result<(Word, Option<u64>), (RejectedKind, Option<Duration>)>,
        Option<Change>,
    ) {
        let mut word = self.word();
        let mut change = None;
        if word.state == State::Open {
            if nanos(now) < self.opened_at.load(Ordering::Acquire) {
                // The clock stepped back: wait the full time once more at most.
                self.opened_at.store(nanos(now), Ordering::Release);
            }
            if let Some(left) = self.open_remaining(now) {
                return (Err((RejectedKind::CircuitOpen, Some(left))), None);
            }
            gate.probes.clear();
            change = Some(Change {
                from: word.state,
                to: State::HalfOpen,
            });
            word = word.next(State::HalfOpen);
            self.set_word(word);
        }
        let decision = match word.state {
            State::HalfOpen => match gate.probes.admit(now, &gate.config) {
                Ok(probe) => Ok((word, Some(probe))),
                Err(wait) => Err((RejectedKind::ProbesBusy, Some(wait))),
            },
            State::Recovering => match gate.ramp.step(now, gate.config.ramp) {
                Step::Admit => Ok((word, None)),
                Step::Refuse(wait) => Err((RejectedKind::RampingUp, Some(wait))),
                Step::Over => {
                    change = Some(Change {
                        from: word.state,
                        to: State::Closed,
                    });
                    word = word.with_state(State::Closed);
                    self.set_word(word);
                    Ok((word, None))
                }
            },
            State::ForcedOpen => Err((RejectedKind::ForcedOpen, None)),
            // Another thread closed it in the meantime.
            _ => Ok((word, None)),
        };
        (decision, change)
    }

    // Results

    pub(super) fn record(&self, admission: Admission, outcome: Outcome) {
        let word = self.word();
        if word.generation != admission.generation {
            return self.stale(outcome);
        }
        if let Some(probe) = admission.probe {
            return self.record_probe(admission, probe, outcome);
        }
        if outcome == Outcome::Ignore || word.state == State::Disabled {
            return;
        }
        let failed = outcome == Outcome::Failure;
        if self.is_bad(admission, failed) {
            self.trip(admission.generation);
        }
    }

    fn stale(&self, outcome: Outcome) {
        if outcome != Outcome::Ignore {
            self.observer.emit(&Event::StaleResult {
                by: &self.name,
                outcome,
            });
        }
    }

    /// Records a result of a closed breaker and answers whether it should open.
    fn is_bad(&self, admission: Admission, failed: bool) -> bool {
        let hot = Hot::unpack(self.hot.load());
        let generation = admission.generation;
        match hot.kind {
            Kind::Consecutive => {
                let failures = self.count_in_a_row(generation, failed);
                failed && failures >= hot.number
            }
            Kind::Count => {
                let slow = self.is_slow(hot, admission);
                self.count
                    .record(generation, failed, slow)
                    .is_some_and(|totals| hot.exceeded_by(totals))
            }
            Kind::Time => {
                let now = self.clock.now();
                let sample = Sample {
                    now,
                    failed,
                    slow: nanos(now.saturating_sub(admission.started)) >= hot.slow,
                };
                self.time
                    .record(generation, hot.number, hot.min_calls, sample)
                    .is_some_and(|totals| hot.exceeded_by(totals))
            }
        }
    }

    fn is_slow(&self, hot: Hot, admission: Admission) -> bool {
        hot.slow != u64::MAX
            && nanos(self.clock.now().saturating_sub(admission.started)) >= hot.slow
    }

    /// Counts failures in a row, and answers how many there are now.
    fn count_in_a_row(&self, generation: u64, failed: bool) -> u64 {
        let tag = generation << 32;
        let mut seen = self.streak.load(Ordering::Acquire);
        loop {
            let count = if seen >> 32 == tag >> 32 {
                seen & 0xffff_ffff
            } else {
                // Every new generation writes its own tag: this one is over.
                return 0;
            };
            if !failed && count == 0 {
                return 0;
            }
            let count = if failed {
                (count + 1).min(0xffff_ffff)
            } else {
                0
            };
            match self.streak.compare_exchange_weak(
                seen,
                tag | count,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return count,
                Err(now) => seen = now,
            }
        }
    }

    fn record_probe(&self, admission: Admission, probe: u64, outcome: Outcome) {
        let slow = self.is_slow(Hot::unpack(self.hot.load()), admission);
        let mut stale = false;
        let change = {
            let mut gate = lock(&self.gate);
            let now = self.clock.now();
            let word = self.word();
            if word.generation == admission.generation && word.state == State::HalfOpen {
                let Gate { probes, config, .. } = &mut *gate;
                match probes.answer(probe, outcome, slow, config) {
                    Verdict::Undecided => None,
                    Verdict::Reopen => Some(self.open(&mut gate, word, now)),
                    Verdict::Close => Some(self.close(&mut gate, word, now)),
                }
            } else {
                stale = true;
                None
            }
        };
        if stale {
            self.stale(outcome);
        }
        self.tell(change);
    }

    // Changes of state

    /// Opens the breaker that `generation` found bad, unless it has changed.
    fn trip(&self, generation: u64) {
        let mut would = false;
        let change = {
            let mut gate = lock(&self.gate);
            let now = self.clock.now();
            let word = self.word();
            if word.generation != generation {
                None
            } else {
                match word.state {
                    State::Closed | State::Recovering => Some(self.open(&mut gate, word, now)),
                    State::MetricsOnly => {
                        // Begin anew, to report again when it happens again.
                        self.forget(word.generation, &gate.config, false);
                        would = true;
                        None
                    }
                    _ => None,
                }
            }
        };
        if would {
            self.observer.emit(&Event::WouldOpen { by: &self.name });
        }
        self.tell(change);
    }

    fn open(&self, gate: &mut Gate, word: Word, now: Duration) -> Change {
        let open_for = gate.trip(now, word.state == State::HalfOpen);
        self.opened_at.store(nanos(now), Ordering::Release);
        self.open_for.store(nanos(open_for), Ordering::Release);
        self.enter(gate, word, State::Open)
    }

    fn close(&self, gate: &mut Gate, word: Word, now: Duration) -> Change {
        gate.closed_at = now;
        let state = if gate.config.ramp.is_zero() {
            State::Closed
        } else {
            gate.ramp.start(now);
            State::Recovering
        };
        self.enter(gate, word, state)
    }

    /// Starts a new generation with empty windows.
    fn enter(&self, gate: &mut Gate, word: Word, state: State) -> Change {
        let next = word.next(state);
        gate.probes.clear();
        self.forget(next.generation, &gate.config, false);
        self.set_word(next);
        Change {
            from: word.state,
            to: state,
        }
    }

    fn forget(&self, generation: u64, config: &BreakerConfig, restart: bool) {
        self.streak.swap(generation << 32, Ordering::AcqRel);
        self.time.clear(generation, restart);
        self.count.clear(generation, ring_size(config));
    }

    pub(super) fn force(&self, state: State) {
        let change = {
            let mut gate = lock(&self.gate);
            gate.trips = 0;
            let word = self.word();
            self.enter(&mut gate, word, state)
        };
        self.tell(Some(change));
    }

    fn tell(&self, change: Option<Change>) {
        if let Some(Change { from, to }) = change
            && from != to
        {
            self.observer.emit(&Event::StateChange {
                by: &self.name,
                from,
                to,
            });
        }
    }

    // Settings and health

    pub(super) fn reconfigure(&self, config: BreakerConfig) {
        let mut gate = lock(&self.gate);
        let (before, after) = (Hot::of(&gate.config), Hot::of(&config));
        gate.config = config;
        self.hot.store(after.pack());
        let same_window = before.kind == after.kind
            && (before.kind == Kind::Consecutive || before.number == after.number);
        if same_window {
            return;
        }
        // Cells of another width, or a ring of another size: a generation of its
        // own, so that calls under way cannot mix the two.
        let word = self.word();
        let next = match word.state {
            State::Open | State::HalfOpen => word,
            state => word.next(state),
        };
        self.forget(next.generation, &gate.config, true);
        self.set_word(next);
    }

    pub(super) fn config(&self) -> BreakerConfig {
        lock(&self.gate).config.clone()
    }

    pub(super) fn snapshot(&self) -> BreakerSnapshot {
        let gate = lock(&self.gate);
        let now = self.clock.now();
        let word = self.word();
        let hot = Hot::unpack(self.hot.load());
        let totals = match hot.kind {
            Kind::Consecutive => {
                let streak = self.streak.load(Ordering::Acquire) & 0xffff_ffff;
                Totals {
                    calls: streak,
                    failures: streak,
                    slow: 0,
                }
            }
            Kind::Count => self.count.totals(),
            Kind::Time => self.time.totals(word.generation, now, hot.number),
        };
        BreakerSnapshot {
            name: self.name.to_string(),
            state: word.state,
            generation: word.generation,
            calls: totals.calls,
            failures: totals.failures,
            slow_calls: totals.slow,
            trips: gate.trips,
            probes: gate.probes.under_way(),
            retry_after: match word.state {
                State::Open => Some(self.open_remaining(now).unwrap_or_default()),
                _ => None,
            },
        }
    }
}

/// A ring is only kept by a breaker that has a count window.
fn ring_size(config: &BreakerConfig) -> u32 {
    match config.trip {
        Trip::CountWindow { size, .. } => size,
        _ => 1,
    }
}
