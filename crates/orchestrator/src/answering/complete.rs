//! A whole answer at once, for callers who do not read along.

use super::{Ending, Produced, Spent};
use crate::{
    Error,
    model::{BudgetedModel, tokens},
    question::Question,
    services::Services,
};
use mainstay_ai::AttemptReport;
use mainstay_domain::{Decision, Hook, Provenance, Tokens, Usd, Verdict};
use mainstay_governance::{Policy, StreamGuard};
use mainstay_persistence::Call;

impl Services {
    /// Asks the model for the whole answer and lets governance read it.
    ///
    /// Returns the model's failure with what was spent on it, so that the
    /// caller can settle that and fall back.
    pub(crate) async fn model_answer(
        &self,
        call: &Call,
        question: &Question,
        model: &BudgetedModel<'_>,
    ) -> Result<Produced, (mainstay_ai::AiError, Spent)> {
        let deadline = self.model_deadline(call.deadline);
        let response = match model.complete(deadline).await {
            Ok(response) => response,
            Err(error) => {
                let spent = self.spent_on(model, error.attempts());
                return Err((error, spent));
            }
        };
        let policy = Policy::from(&question.workspace);
        let mut guard = StreamGuard::answering(&policy, &question.redactions);
        let mut text = guard.push(&response.text);
        let (rest, found) = guard.finish(self.now());
        text.push_str(&rest);
        let denied = found.iter().any(|found| found.verdict == Verdict::Deny);
        let mut decisions = question.decisions.clone();
        decisions.extend(found.into_iter().map(|found| Decision {
            hook: Hook::After,
            ..found
        }));
        Ok(Produced {
            text: if denied { String::new() } else { text },
            ending: if denied {
                Ending::Denied
            } else {
                Ending::Whole
            },
            provenance: Provenance::Model,
            citations: Vec::new(),
            persona_ids: question.persona_ids(),
            model: Some(response.model),
            spent: self.spent_on(model, &response.attempts),
            decisions,
            degraded: false,
        })
    }
}

impl Produced {
    /// Turns an answer that governance refused into the error that says so.
    pub(crate) fn unless_denied(self) -> Result<Self, Error> {
        match self.ending {
            Ending::Denied => Err(Error::Denied(self.decisions)),
            Ending::Whole | Ending::Stopped(_) => Ok(self),
        }
    }
}

impl Services {
    /// What all attempts of a call used together: a failed one is billed too.
    /// To be asked once per call, since it tells the observer.
    pub(crate) fn spent_on(&self, model: &BudgetedModel<'_>, attempts: &[AttemptReport]) -> Spent {
        attempts
            .iter()
            .filter_map(|attempt| Some((attempt.model.as_str(), attempt.usage?)))
            .fold(Spent::NOTHING, |sum, (name, usage)| {
                let tokens = tokens(&usage);
                self.used.hear(name, tokens);
                sum.plus(tokens, model.cost(name, &usage))
            })
    }
}

impl Spent {
    /// Adds one attempt; one unknown price makes the sum unknown.
    pub(crate) fn plus(self, tokens: Tokens, cost: Option<Usd>) -> Self {
        Self {
            tokens: Tokens {
                input: self.tokens.input.saturating_add(tokens.input),
                output: self.tokens.output.saturating_add(tokens.output),
                cached: self.tokens.cached.saturating_add(tokens.cached),
            },
            cost: self.cost.zip(cost).map(|(sum, cost)| sum.plus(cost)),
        }
    }
}
