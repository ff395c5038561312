//! Durations as the µs that entries carry.

use std::time::Duration;

/// Whole µs, at most what fits.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
