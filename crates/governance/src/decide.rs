//! Making decisions out of facts.

use crate::detect::Kind;
use jiff::Timestamp;
use mainstay_domain::{Decision, DecisionId, Hook, Verdict};
use std::collections::BTreeMap;

/// How often each kind of thing was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings(BTreeMap<Kind, usize>);

impl Findings {
    pub(crate) fn add(&mut self, kind: Kind) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// One decision per kind that was found.
    pub(crate) fn decisions(
        &self,
        hook: Hook,
        verdict: impl Fn(Kind) -> Verdict,
        now: Timestamp,
    ) -> Vec<Decision> {
        let decide = |(kind, count): (&Kind, &usize)| {
            let verdict = verdict(*kind);
            let what = kind.plural();
            let reason = match (verdict, *count) {
                (Verdict::Deny, _) => {
                    format!("The text contains {what}, which this workspace does not allow.")
                }
                (Verdict::Redact, _) if *kind == Kind::RemoteImage => {
                    format!("Found {what} and turned them into links.")
                }
                (Verdict::Redact, 1) => {
                    format!("Found {what} once and replaced it by a placeholder.")
                }
                (Verdict::Redact, n) => {
                    format!("Found {what} {n} times and replaced them by placeholders.")
                }
                (_, 1) => format!("Found {what} once; nothing was changed."),
                (_, n) => format!("Found {what} {n} times; nothing was changed."),
            };
            decision(hook, verdict, kind.rule_id(), reason, now)
        };
        self.0.iter().map(decide).collect()
    }
}

pub(crate) fn decision(
    hook: Hook,
    verdict: Verdict,
    rule_id: &str,
    reason: String,
    now: Timestamp,
) -> Decision {
    Decision {
        id: DecisionId::at(now),
        hook,
        verdict,
        rule_id: rule_id.to_owned(),
        reason,
    }
}

/// The severest verdict, which is the one that counts.
pub(crate) fn severest(decisions: &[Decision]) -> Verdict {
    decisions
        .iter()
        .map(|decision| decision.verdict)
        .max()
        .unwrap_or(Verdict::Allow)
}
