//! Settings that change, and the state in numbers.

use super::{
    Machine,
    hot::{Hot, Kind, Style},
};
use crate::{
    breaker::{BreakerSnapshot, State, builder::BreakerConfig, time_window::Totals},
    sync::{Ordering, lock},
};

impl Machine {
    pub(in crate::breaker) fn reconfigure(&self, config: BreakerConfig) {
        let mut gate = lock(&self.gate);
        let (before, after) = (Hot::of(&gate.config), Hot::of(&config));
        self.style
            .store(Style::of(&config).pack(), Ordering::Relaxed);
        self.hot.store(after.pack());
        gate.config = config;
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

    pub(in crate::breaker) fn config(&self) -> BreakerConfig {
        lock(&self.gate).config.clone()
    }

    pub(in crate::breaker) fn snapshot(&self) -> BreakerSnapshot {
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
