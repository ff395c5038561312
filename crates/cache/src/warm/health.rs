//! Whether the disk is to be used: a breaker whose half-open state is a
//! rebuilt store.

use std::time::Duration;

use super::WarmConfig;
use crate::observer::TierState;

/// Counts failures and decides when to leave the disk alone, when to give it
/// up, and when to try it again. It does nothing itself.
#[derive(Debug)]
pub(crate) struct Health {
    failures_to_trip: u32,
    failures_to_give_up: u32,
    trip: Duration,
    rebuild_min: Duration,
    rebuild_max: Duration,
    state: TierState,
    /// Failures since the last success.
    failures: u32,
    /// When the next attempt to rebuild is due.
    due: Duration,
    /// The pause before the attempt after that.
    pause: Duration,
}

impl Health {
    pub(crate) fn new(config: &WarmConfig) -> Self {
        Self {
            failures_to_trip: config.failures,
            failures_to_give_up: config.memory_only_after,
            trip: config.trip,
            rebuild_min: config.rebuild_min,
            rebuild_max: config.rebuild_max,
            state: TierState::Opening,
            failures: 0,
            due: Duration::ZERO,
            pause: config.rebuild_min,
        }
    }

    pub(crate) fn state(&self) -> TierState {
        self.state
    }

    /// The store did what it should.
    pub(crate) fn success(&mut self) {
        self.failures = 0;
    }

    /// The store failed once. Returns whether it is to be taken out of use.
    pub(crate) fn failure(&mut self, now: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.state != TierState::Up || self.failures < self.failures_to_trip {
            return false;
        }
        self.take_out(now);
        true
    }

    /// The store is known not to work: it is taken out of use at once.
    pub(crate) fn fatal(&mut self, now: Duration) -> bool {
        if self.state != TierState::Up {
            return false;
        }
        self.failures = self
            .failures
            .max(self.failures_to_trip.saturating_sub(1))
            .saturating_add(1);
        self.take_out(now);
        true
    }

    fn take_out(&mut self, now: Duration) {
        if self.failures >= self.failures_to_give_up {
            self.state = TierState::MemoryOnly;
            self.due = now.saturating_add(self.pause);
            self.pause = self.pause.saturating_mul(2).min(self.rebuild_max);
        } else {
            self.state = TierState::Tripped;
            self.due = now.saturating_add(self.trip);
        }
    }

    /// Whether an attempt to rebuild is due.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        match self.state {
            TierState::Opening => true,
            TierState::Tripped | TierState::MemoryOnly => now >= self.due,
            _ => false,
        }
    }

    /// The store was rebuilt and proved that it works.
    pub(crate) fn rebuilt(&mut self) {
        self.state = TierState::Up;
        self.failures = 0;
        self.pause = self.rebuild_min;
    }

    /// The attempt failed.
    pub(crate) fn rebuild_failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.take_out(now);
    }

    pub(crate) fn close(&mut self) {
        self.state = TierState::Closed;
    }

    /// How long until the next attempt.
    pub(crate) fn retry_after(&self, now: Duration) -> Option<Duration> {
        matches!(self.state, TierState::Tripped | TierState::MemoryOnly)
            .then(|| self.due.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up() -> Health {
        let mut health = Health::new(&WarmConfig::new("unused"));
        health.rebuilt();
        health
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn five_failures_in_a_row_trip_and_a_success_starts_over() {
        let mut health = up();
        (0..4).for_each(|_| assert!(!health.failure(at(0))));
        health.success();
        (0..4).for_each(|_| assert!(!health.failure(at(0))));
        assert!(health.failure(at(0)));
        assert_eq!(health.state(), TierState::Tripped);
        assert!(!health.is_due(at(59)));
        assert!(health.is_due(at(60)));
    }

    #[test]
    fn ten_failures_give_the_disk_up_with_growing_pauses() {
        let mut health = up();
        (0..5).for_each(|_| {
            let _ = health.failure(at(0));
        });
        let mut now = at(0);
        for _ in 0..4 {
            now += at(60);
            health.rebuild_failed(now);
            assert_eq!(health.state(), TierState::Tripped);
        }
        now += at(60);
        health.rebuild_failed(now);
        assert_eq!(health.state(), TierState::MemoryOnly);
        for minutes in [5, 10, 20, 40, 60, 60] {
            assert_eq!(health.retry_after(now), Some(at(minutes * 60)));
            now += at(minutes * 60);
            assert!(health.is_due(now));
            health.rebuild_failed(now);
        }
        health.rebuilt();
        assert_eq!(health.state(), TierState::Up);
        (0..5).for_each(|_| {
            let _ = health.failure(now);
        });
        assert_eq!(health.state(), TierState::Tripped, "the count starts over");
    }

    #[test]
    fn a_store_known_to_be_dead_is_not_asked_five_times() {
        let mut health = up();
        assert!(health.fatal(at(0)));
        assert_eq!(health.state(), TierState::Tripped);
        assert!(!health.fatal(at(0)), "it is out already");
    }
}
