//! The generic cell rate algorithm: a whole token bucket in one number.
//!
//! The number is the theoretical arrival time: when the bucket would be full
//! again. A call moves it on by one interval, and may do so while it stays
//! within a burst's worth of now (ITU-T I.371; the same as a leaky bucket as a
//! meter).

use std::time::Duration;

use super::{Meter, RateLimitState};
use crate::sync::{AtomicU64, Ordering, nanos};

/// One cell. Public to the crate only; limiters give it a name.
#[derive(Debug)]
pub(crate) struct Cell {
    arrival: AtomicU64,
}

impl Cell {
    pub(crate) fn new() -> Self {
        Self {
            arrival: AtomicU64::new(0),
        }
    }

    /// Takes one call out of the quota, or answers how long to wait for it.
    pub(crate) fn check(&self, meter: &Meter, now: Duration) -> Result<RateLimitState, Duration> {
        let used = self.advance(meter.interval, meter.capacity, now)?;
        Ok(RateLimitState::new(meter, used))
    }

    /// The same with the numbers of the quota; answers the nanoseconds of the
    /// burst that are in use.
    fn advance(&self, interval: u64, capacity: u64, now: Duration) -> Result<u64, Duration> {
        let now = nanos(now);
        let mut arrival = self.arrival.load(Ordering::Relaxed);
        loop {
            // More than a burst ahead of now cannot be: the clock stepped back,
            // or the quota shrank. Then the bucket is empty, and no worse.
            let ahead = arrival.saturating_sub(now);
            let used = ahead.min(capacity).saturating_add(interval);
            if used > capacity {
                self.forget_future(arrival, ahead, capacity, now);
                return Err(Duration::from_nanos(used - capacity));
            }
            match self.arrival.compare_exchange_weak(
                arrival,
                now.saturating_add(used),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(used),
                Err(seen) => arrival = seen,
            }
        }
    }

    /// Brings an arrival time that the clock will not reach for long back to
    /// where the bucket is empty. Two threads that read the clock a moment
    /// apart are no reason for it.
    fn forget_future(&self, arrival: u64, ahead: u64, capacity: u64, now: u64) {
        const MOMENT: u64 = 1_000_000_000;
        if ahead > capacity.saturating_mul(2).saturating_add(MOMENT) {
            let empty = now.saturating_add(capacity);
            // Whoever changes it first has seen the same clock.
            let _ =
                self.arrival
                    .compare_exchange(arrival, empty, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Nanoseconds of the burst in use, without taking anything.
    pub(super) fn used(&self, capacity: u64, now: Duration) -> u64 {
        self.arrival
            .load(Ordering::Relaxed)
            .saturating_sub(nanos(now))
            .min(capacity)
    }
}
