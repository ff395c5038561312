//! Without the feature `redis` there is no shared tier, and no value of its
//! type.

use std::time::Duration;

use super::Claim;
use crate::{
    counters::TierCounters, envelope::Envelope, key::Fingerprint, observer::TierState,
    stamps::Target,
};

#[derive(Debug)]
pub(crate) enum Shared {}

#[derive(Debug)]
pub(crate) enum Lease {}

impl Shared {
    pub(crate) fn counters(&self) -> &TierCounters {
        match *self {}
    }

    pub(crate) fn state(&self) -> TierState {
        match *self {}
    }

    pub(crate) fn position(&self) -> u64 {
        match *self {}
    }

    pub(crate) async fn get(&self, _: Fingerprint) -> Option<Envelope> {
        match *self {}
    }

    pub(crate) async fn claim(&self, _: Fingerprint, _: Duration) -> Claim {
        match *self {}
    }

    pub(crate) async fn fill(&self, _: Fingerprint, _: Lease, _: &Envelope) {
        match *self {}
    }

    pub(crate) async fn release(&self, _: Fingerprint, _: Lease) {
        match *self {}
    }

    pub(crate) async fn put(&self, _: Fingerprint, _: &Envelope) -> bool {
        match *self {}
    }

    pub(crate) async fn invalidate(&self, _: &[Fingerprint]) -> bool {
        match *self {}
    }

    pub(crate) async fn invalidate_lazily(&self, _: Target) -> bool {
        match *self {}
    }
}
