//! Who may call.

use std::time::Duration;

use super::{Change, Machine};
use crate::{
    Rejected, RejectedKind,
    breaker::{
        State,
        gate::{Gate, Step},
        permit::Admission,
        state::Word,
    },
    sync::{Ordering, lock, nanos},
};

impl Machine {
    /// Inlined as far as a healthy breaker goes.
    #[inline]
    pub(in crate::breaker) fn admit(&self) -> Result<Admission, Rejected> {
        let word = self.word();
        if word.state == State::Closed && !self.style().timed {
            return Ok(Admission {
                generation: word.generation,
                started: 0,
                probe: 0,
            });
        }
        self.admit_by_state(word)
    }

    #[inline(never)]
    fn admit_by_state(&self, word: Word) -> Result<Admission, Rejected> {
        match word.state {
            State::Closed | State::ForcedClosed | State::MetricsOnly => Ok(self.admission(word, 0)),
            State::Disabled => Ok(Admission {
                generation: word.generation,
                started: 0,
                probe: 0,
            }),
            State::ForcedOpen => Err(self.refuse(RejectedKind::ForcedOpen, None)),
            State::Open => match self.open_remaining(self.clock.now()) {
                Some(left) => Err(self.refuse(RejectedKind::CircuitOpen, Some(left))),
                None => self.admit_slowly(),
            },
            State::HalfOpen | State::Recovering => self.admit_slowly(),
        }
    }

    fn admission(&self, word: Word, probe: u64) -> Admission {
        Admission {
            generation: word.generation,
            started: if self.style().timed {
                nanos(self.clock.now())
            } else {
                0
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
    pub(super) fn open_remaining(&self, now: Duration) -> Option<Duration> {
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
        Result<(Word, u64), (RejectedKind, Option<Duration>)>,
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
                Ok(probe) => Ok((word, probe)),
                Err(wait) => Err((RejectedKind::ProbesBusy, Some(wait))),
            },
            State::Recovering => match gate.ramp.step(now, gate.config.ramp) {
                Step::Admit => Ok((word, 0)),
                Step::Refuse(wait) => Err((RejectedKind::RampingUp, Some(wait))),
                Step::Over => {
                    change = Some(Change {
                        from: word.state,
                        to: State::Closed,
                    });
                    word = word.with_state(State::Closed);
                    self.set_word(word);
                    Ok((word, 0))
                }
            },
            State::ForcedOpen => Err((RejectedKind::ForcedOpen, None)),
            // Another thread closed it in the meantime.
            _ => Ok((word, 0)),
        };
        (decision, change)
    }
}
