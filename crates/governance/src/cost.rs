//! The ceiling on what one request may cost.

use crate::{decide::decision, policy::Policy};
use jiff::Timestamp;
use mainstay_domain::{Decision, Hook, Usd, Verdict};

/// Holds the most that a request can cost against what it may cost: the
/// workspace's ceiling or the caller's own, whichever is lower.
pub(crate) fn check(
    policy: &Policy,
    estimated: Option<Usd>,
    max_cost: Option<Usd>,
    now: Timestamp,
) -> Option<Decision> {
    let ceiling = max_cost.map_or(policy.request_ceiling, |max| {
        max.min(policy.request_ceiling)
    });
    match estimated {
        Some(cost) if cost > ceiling => {
            let reason = format!(
                "The request could cost up to {cost} USD, which is over its ceiling of {ceiling} USD."
            );
            Some(decision(
                Hook::Before,
                Verdict::Deny,
                "cost.ceiling",
                reason,
                now,
            ))
        }
        Some(_) => None,
        None => {
            let verdict = policy.on_unknown_cost();
            let reason = "The price of the model is unknown, so the request's cost cannot be held against its ceiling.";
            Some(decision(
                Hook::Before,
                verdict,
                "cost.unknown",
                reason.to_owned(),
                now,
            ))
        }
    }
}
