//! The tier that instances share.

#[cfg(not(feature = "redis"))]
mod absent;
#[cfg(feature = "redis")]
mod backplane;
#[cfg(feature = "redis")]
mod order;
#[cfg(feature = "redis")]
mod outbox;
#[cfg(feature = "redis")]
mod tier;

#[cfg(not(feature = "redis"))]
pub(crate) use absent::{Lease, Shared};
#[cfg(feature = "redis")]
pub(crate) use backplane::run as follow_backplane;
#[cfg(feature = "redis")]
pub(crate) use tier::{Lease, Parts, Shared};

use crate::envelope::Envelope;

/// What an attempt to claim the load of a key came to.
#[cfg_attr(
    not(feature = "redis"),
    expect(dead_code, reason = "there is nobody to claim from")
)]
pub(crate) enum Claim {
    /// Somebody has loaded it meanwhile.
    Found(Envelope),
    /// This process is to load it.
    Granted(Lease),
    /// Another process is loading it.
    Busy,
    /// The tier does not answer.
    Unavailable,
}
