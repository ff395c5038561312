//! Fresh ids of rows that the domain does not know, and jitter.

use jiff::Timestamp;
use mainstay_domain::CorrelationId;
use uuid::Uuid;

/// A new UUIDv7 that sorts by `now`.
pub(crate) fn id(now: Timestamp) -> Uuid {
    CorrelationId::at(now).uuid()
}

/// A random fraction from 0 to 1, so that those who collided do not collide again.
pub(crate) fn jitter() -> f64 {
    f64::from(id(Timestamp::UNIX_EPOCH).as_bytes()[15]) / 255.0
}
