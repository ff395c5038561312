//! The guard on a whole answer.

use crate::{StreamGuard, decide::severest, policy::Policy};
use jiff::Timestamp;
use mainstay_domain::{Decision, Hook, Verdict};

/// A whole answer after its guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// The severest verdict.
    pub verdict: Verdict,
    /// What may be shown and stored.
    pub text: String,
    /// What was decided.
    pub decisions: Vec<Decision>,
}

/// Guards a whole answer: the same text as from a [`StreamGuard`].
#[must_use]
pub fn after(policy: &Policy, answer: &str, now: Timestamp) -> After {
    let mut guard = StreamGuard::at(policy, Hook::After);
    let mut text = guard.push(answer);
    let (rest, decisions) = guard.finish(now);
    text.push_str(&rest);
    After {
        verdict: severest(&decisions),
        text,
        decisions,
    }
}
