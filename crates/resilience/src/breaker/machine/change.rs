//! Changes of state. All of them happen under the gate's lock.

use std::time::Duration;

use super::{Change, Machine, ring_size};
use crate::{
    Event,
    breaker::{State, builder::BreakerConfig, gate::Gate, state::Word},
    sync::{Ordering, lock, nanos},
};

impl Machine {
    /// Opens the breaker that `generation` found bad, unless it has changed.
    pub(super) fn trip(&self, generation: u64) {
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

    pub(super) fn open(&self, gate: &mut Gate, word: Word, now: Duration) -> Change {
        let open_for = gate.trip(now, word.state == State::HalfOpen);
        self.opened_at.store(nanos(now), Ordering::Release);
        self.open_for.store(nanos(open_for), Ordering::Release);
        self.enter(gate, word, State::Open)
    }

    pub(super) fn close(&self, gate: &mut Gate, word: Word, now: Duration) -> Change {
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

    pub(super) fn forget(&self, generation: u64, config: &BreakerConfig, restart: bool) {
        self.streak.swap(generation << 32, Ordering::AcqRel);
        self.time.clear(generation, restart);
        self.count.clear(generation, ring_size(config));
    }

    pub(in crate::breaker) fn force(&self, state: State) {
        let change = {
            let mut gate = lock(&self.gate);
            gate.trips = 0;
            let word = self.word();
            self.enter(&mut gate, word, state)
        };
        self.tell(Some(change));
    }

    pub(super) fn tell(&self, change: Option<Change>) {
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
}
