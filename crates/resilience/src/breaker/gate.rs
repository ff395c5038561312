//! What a breaker decides under its lock: probes, ramp and open time.

use std::time::Duration;

use super::{Outcome, builder::BreakerConfig};

/// The part of a breaker that changes rarely and together.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) config: BreakerConfig,
    /// Trips without a lasting recovery in between.
    pub(super) trips: u32,
    /// When the breaker last closed after a trip.
    pub(super) closed_at: Duration,
    pub(super) probes: Probes,
    pub(super) ramp: Ramp,
}

impl Gate {
    pub(super) fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            trips: 0,
            closed_at: Duration::ZERO,
            probes: Probes::default(),
            ramp: Ramp::default(),
        }
    }

    /// Counts a trip at `now` and answers for how long to stay open. A trip
    /// soon after a recovery continues the series: the recovery did not last.
    pub(super) fn trip(&mut self, now: Duration, from_half_open: bool) -> Duration {
        let lasted = now.saturating_sub(self.closed_at);
        let repeated = from_half_open
            || (self.trips > 0
                && lasted
                    < self
                        .config
                        .open_time(self.trips)
                        .saturating_add(self.config.ramp));
        self.trips = if repeated {
            self.trips.saturating_add(1)
        } else {
            1
        };
        self.config.open_time(self.trips)
    }
}

/// The probes of one half-open phase.
#[derive(Debug, Default)]
pub(super) struct Probes {
    under_way: Vec<Probe>,
    next: u64,
    answered: u32,
    failed: u32,
    slow: u32,
}

#[derive(Debug)]
struct Probe {
    number: u64,
    since: Duration,
}

/// What the answers of the probes amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Undecided,
    Close,
    Reopen,
}

impl Probes {
    /// Admits a probe, or answers how long until a slot is free for certain.
    ///
    /// A probe that hangs loses its slot here. Its answer still counts if it
    /// comes, so that a probe slower than the time limit can close the breaker.
    pub(super) fn admit(&mut self, now: Duration, config: &BreakerConfig) -> Result<u64, Duration> {
        for probe in &mut self.under_way {
            // A clock that stepped back must not hold the slot for longer.
            probe.since = probe.since.min(now);
        }
        let taken = self.answered as usize + self.under_way.len();
        if taken >= config.half_open_probes as usize {
            let limit = config.probe_timeout;
            if let Some(oldest) = self.under_way.first() {
                let age = now.saturating_sub(oldest.since);
                if age < limit {
                    return Err(limit.saturating_sub(age));
                }
                self.under_way.remove(0);
            }
            // With nothing under way, new settings want fewer answers than there
            // are: one more decides.
        }
        self.next = self.next.wrapping_add(1).max(1);
        self.under_way.push(Probe {
            number: self.next,
            since: now,
        });
        Ok(self.next)
    }

    /// Takes the answer of a probe, frees its slot and judges them all.
    pub(super) fn answer(
        &mut self,
        number: u64,
        outcome: Outcome,
        slow: bool,
        config: &BreakerConfig,
    ) -> Verdict {
        self.under_way.retain(|probe| probe.number != number);
        if outcome == Outcome::Ignore {
            return Verdict::Undecided;
        }
        self.answered = self.answered.saturating_add(1);
        self.failed += u32::from(outcome == Outcome::Failure);
        self.slow += u32::from(slow);
        let of_probes = |part: u32| f64::from(part) / f64::from(config.half_open_probes.max(1));
        if (self.failed > 0 && of_probes(self.failed) >= config.trip.failure_rate())
            || (self.slow > 0 && of_probes(self.slow) >= config.slow_call_rate)
        {
            return Verdict::Reopen;
        }
        if self.answered >= config.half_open_probes {
            return Verdict::Close;
        }
        Verdict::Undecided
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn clear(&mut self) {
        // The numbers go on, so that an old probe is never taken for a new one.
        *self = Self {
            next: self.next,
            ..Self::default()
        };
    }
}

/// Admits a share of the calls that grows from a tenth to all of them.
#[derive(Debug, Default)]
pub(super) struct Ramp {
    since: Duration,
    /// Thousandths of a call that may be admitted.
    credit: u32,
}

/// What the ramp says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Admit,
    Refuse(Duration),
    Over,
}

impl Ramp {
    pub(super) fn start(&mut self, now: Duration) {
        *self = Self {
            since: now,
            // The first call is admitted.
            credit: 1000,
        };
    }

    pub(super) fn step(&mut self, now: Duration, ramp: Duration) -> Step {
        self.since = self.since.min(now);
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= ramp {
            return Step::Over;
        }
        // Neither number is zero here: elapsed < ramp.
        let passed = elapsed.as_secs_f64() / ramp.as_secs_f64();
        let share = 100 + (900.0 * passed) as u32;
        self.credit = self.credit.saturating_add(share).min(2000);
        if self.credit >= 1000 {
            self.credit -= 1000;
            return Step::Admit;
        }
        // A caller that waits for a tenth of the ramp meets a larger share.
        Step::Refuse((ramp / 10).min(ramp.saturating_sub(elapsed)))
    }
}
