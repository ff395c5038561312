//! What calls came to.

use super::{
    Machine,
    hot::{Hot, Kind},
};
use crate::{
    Event,
    breaker::{
        Outcome, State,
        gate::{Gate, Verdict},
        permit::Admission,
        time_window::Sample,
    },
    sync::{Ordering, lock, nanos},
};

impl Machine {
    /// Inlined as far as a good call of a healthy breaker goes.
    #[inline]
    pub(in crate::breaker) fn record(&self, admission: Admission, outcome: Outcome) {
        let word = self.word();
        let style = self.style();
        if word.generation == admission.generation
            && admission.probe == 0
            && outcome == Outcome::Success
            && !style.timed
        {
            let unchanged = match style.kind {
                Kind::Consecutive => self.streak.load(Ordering::Acquire) << 32 == 0,
                Kind::Count => self.count.is_spotless(admission.generation),
                Kind::Time => false,
            };
            if unchanged {
                return;
            }
        }
        self.record_by_state(admission, outcome);
    }

    #[inline(never)]
    fn record_by_state(&self, admission: Admission, outcome: Outcome) {
        let word = self.word();
        if word.generation != admission.generation {
            return self.stale(outcome);
        }
        if admission.probe != 0 {
            return self.record_probe(admission, outcome);
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
        let generation = admission.generation;
        let hot = Hot::unpack(self.hot.load());
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
                    slow: nanos(now).saturating_sub(admission.started) >= hot.slow,
                };
                self.time
                    .record(generation, hot.number, hot.min_calls, sample)
                    .is_some_and(|totals| hot.exceeded_by(totals))
            }
        }
    }

    fn is_slow(&self, hot: Hot, admission: Admission) -> bool {
        hot.slow != u64::MAX
            && nanos(self.clock.now()).saturating_sub(admission.started) >= hot.slow
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

    fn record_probe(&self, admission: Admission, outcome: Outcome) {
        let slow = self.is_slow(Hot::unpack(self.hot.load()), admission);
        let mut stale = false;
        let change = {
            let mut gate = lock(&self.gate);
            let now = self.clock.now();
            let word = self.word();
            if word.generation == admission.generation && word.state == State::HalfOpen {
                let Gate { probes, config, .. } = &mut *gate;
                match probes.answer(admission.probe, outcome, slow, config) {
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
}
