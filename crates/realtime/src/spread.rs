//! Delays that spread many clients evenly over a time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Hands out delays that fill a span evenly, in whatever number they are
/// asked for: each one falls into the largest gap that the former ones left.
/// That needs no randomness and is more even than randomness would be.
#[derive(Debug, Default)]
pub struct Spread {
    handed_out: AtomicU64,
}

impl Spread {
    /// A new sequence of delays.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            handed_out: AtomicU64::new(0),
        }
    }

    /// The next delay, from zero to less than `over`.
    pub fn next(&self, over: Duration) -> Duration {
        /// 2⁶⁴ divided by the golden ratio: its multiples, taken modulo 2⁶⁴,
        /// are the most even sequence there is.
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let count = self.handed_out.fetch_add(1, Ordering::Relaxed);
        let fraction = u128::from(count.wrapping_mul(GOLDEN) >> 32);
        let nanos = (over.as_nanos() * fraction) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_clients_come_back_evenly() {
        let spread = Spread::new();
        let over = Duration::from_secs(20);
        let mut per_second = [0_u32; 20];
        for _ in 0..10_000 {
            let delay = spread.next(over);
            assert!(delay < over);
            per_second[usize::try_from(delay.as_secs()).unwrap()] += 1;
        }
        for count in per_second {
            assert!((490..=510).contains(&count), "{per_second:?}");
        }
    }

    #[test]
    fn extreme_spans_do_no_harm() {
        let spread = Spread::new();
        for _ in 0..10 {
            assert_eq!(spread.next(Duration::ZERO), Duration::ZERO);
            let _ = spread.next(Duration::MAX);
        }
    }
}
