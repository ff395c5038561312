//! The guard in front of the model.

use crate::{
    StreamGuard, cost,
    decide::{decision, severest},
    injection::injection_score,
    placeholder::Redactions,
    policy::Policy,
    terms,
};
use jiff::Timestamp;
use mainstay_domain::{Decision, Hook, Usd, Verdict};

/// What is about to be sent to a model.
#[derive(Clone, Copy, Default)]
pub struct Question<'a> {
    /// What the person asks.
    pub prompt: &'a str,
    /// What the person sends along.
    pub context: Option<&'a str>,
    /// The most that the request can cost; `None` when the model's price is unknown.
    pub estimated_ceiling: Option<Usd>,
    /// The most that the caller wants to spend.
    pub max_cost: Option<Usd>,
}

/// Why a question is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Its content is not allowed.
    Denied,
    /// It could cost more than it may.
    OverBudget,
}

/// A question after its guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// The severest verdict.
    pub verdict: Verdict,
    /// Why the question must not be sent, when the verdict is deny.
    pub refusal: Option<Refusal>,
    /// What was decided.
    pub decisions: Vec<Decision>,
    /// The prompt as it may be sent.
    pub prompt: String,
    /// The context as it may be sent.
    pub context: Option<String>,
    /// What the placeholders in both stand for.
    pub redactions: Redactions,
}

/// Guards a question. The system prompt is the workspace's own text and not
/// looked at.
#[must_use]
pub fn before(policy: &Policy, question: &Question<'_>, now: Timestamp) -> Before {
    let mut decisions = Vec::new();
    let texts = [Some(question.prompt), question.context];
    let texts = || texts.iter().flatten();
    if texts().any(|text| terms::contains_blocked(text, &policy.blocked_terms)) {
        let reason = "The question contains a word that this workspace does not allow.";
        decisions.push(decision(
            Hook::Before,
            Verdict::Deny,
            "content.blocked_term",
            reason.to_owned(),
            now,
        ));
    }
    let score = texts()
        .map(|text| injection_score(text))
        .fold(0.0, f32::max);
    if let Some(verdict) = policy.on_injection(score) {
        let reason = "The question reads like an attempt to overrule the assistant's instructions.";
        decisions.push(decision(
            Hook::Before,
            verdict,
            "injection.heuristic",
            reason.to_owned(),
            now,
        ));
    }
    let (prompt, context, redactions) = redact(policy, question, &mut decisions, now);
    let is_denied = severest(&decisions) == Verdict::Deny;
    let cost = cost::check(policy, question.estimated_ceiling, question.max_cost, now);
    let is_over_budget = cost
        .as_ref()
        .is_some_and(|decision| decision.verdict == Verdict::Deny);
    decisions.extend(cost);
    Before {
        verdict: severest(&decisions),
        refusal: match (is_denied, is_over_budget) {
            (true, _) => Some(Refusal::Denied),
            (false, true) => Some(Refusal::OverBudget),
            (false, false) => None,
        },
        decisions,
        prompt,
        context,
        redactions,
    }
}

/// Prompt and context share their placeholders, so that the model can tell
/// that both speak of the same thing.
fn redact(
    policy: &Policy,
    question: &Question<'_>,
    decisions: &mut Vec<Decision>,
    now: Timestamp,
) -> (String, Option<String>, Redactions) {
    let mut guard = StreamGuard::at(policy, Hook::Before);
    let prompt = guard.whole(question.prompt);
    let context = question.context.map(|context| guard.whole(context));
    decisions.extend(guard.decisions(now));
    (prompt, context, guard.into_redactions())
}
