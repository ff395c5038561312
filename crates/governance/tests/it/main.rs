//! Governance as its callers see it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod corpus;
mod questions;
mod streaming;
mod whole;

use jiff::Timestamp;
use mainstay_domain::{GovernanceLevel, Usd};
use mainstay_governance::{Policy, after};

fn policy(level: GovernanceLevel) -> Policy {
    Policy {
        level,
        request_ceiling: Usd::from_nano(1_000_000_000),
        blocked_terms: vec!["project titan".to_owned()],
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// The text after a moderate guard.
fn guarded(text: &str) -> String {
    after(&policy(GovernanceLevel::Moderate), text, now()).text
}
