//! From what was asked to what may be put to a model: workspace, personas,
//! governance, the ceiling.

use crate::{
    Error,
    model::{Fit, fit},
    question::{Ask, Question, chat_request},
    services::Services,
};
use jiff::Timestamp;
use mainstay_ai::ChatRequest;
use mainstay_domain::{Decision, DecisionId, Hook, Persona, Usd, Verdict, Workspace};
use mainstay_governance::{Policy, Refusal, before};
use mainstay_persistence::Call;
use uuid::Uuid;

impl Services {
    /// Reads what the question depends on and lets governance decide. A denied
    /// question is logged under `source_id`, which is never used for anything else then.
    pub(crate) async fn prepare(
        &self,
        call: &Call,
        ask: &Ask,
        source_id: Uuid,
    ) -> Result<Question, Error> {
        let workspace = self.directory.workspace(call).await?;
        let personas = self.personas_of(call, ask).await?;
        let context = ask.context.as_ref().map(mainstay_domain::Prompt::as_str);
        let mut request = self.request(&personas, context, ask.prompt.as_str());
        let (cost, shortened) = self.afford(&mut request, &workspace, ask.max_cost)?;
        let found = before(
            &Policy::from(&workspace),
            &mainstay_governance::Question {
                prompt: ask.prompt.as_str(),
                context,
                estimated_ceiling: cost,
                max_cost: ask.max_cost,
            },
            self.now(),
        );
        let mut decisions = found.decisions;
        decisions.extend(shortened);
        if let Some(refusal) = found.refusal {
            return Err(self
                .refuse(
                    call,
                    source_id,
                    refusal,
                    decisions,
                    ceiling(&workspace, ask.max_cost),
                )
                .await);
        }
        let changed = found.prompt != ask.prompt.as_str() || found.context.as_deref() != context;
        if changed {
            let max_tokens = request.max_tokens;
            request = self.request(&personas, found.context.as_deref(), &found.prompt);
            request.max_tokens = max_tokens;
        }
        Ok(Question {
            ceiling: ceiling(&workspace, ask.max_cost),
            workspace,
            personas,
            request,
            prompt: found.prompt,
            decisions,
            redactions: found.redactions,
            traceparent: ask.traceparent.clone(),
        })
    }

    /// The personas that the question names.
    pub(super) async fn personas_of(&self, call: &Call, ask: &Ask) -> Result<Vec<Persona>, Error> {
        let mut personas = Vec::with_capacity(ask.persona_ids.len());
        for id in &ask.persona_ids {
            let persona = self.directory.persona(call, *id).await;
            personas.push(persona.map_err(no_such_persona)?);
        }
        Ok(personas)
    }

    pub(super) fn request(
        &self,
        personas: &[Persona],
        context: Option<&str>,
        prompt: &str,
    ) -> ChatRequest {
        let default_model = self.models.default_model().unwrap_or_default();
        chat_request(
            &self.config.assistant_prompt,
            default_model,
            personas,
            context,
            Vec::new(),
            prompt,
        )
    }

    /// Shortens the answer to what the ceiling pays for, or refuses. Without
    /// any model nothing can be spent.
    pub(super) fn afford(
        &self,
        request: &mut ChatRequest,
        workspace: &Workspace,
        max_cost: Option<Usd>,
    ) -> Result<(Option<Usd>, Option<Decision>), Error> {
        if !self.models.has_models() {
            return Ok((Some(Usd::ZERO), None));
        }
        let allowed = ceiling(workspace, max_cost);
        match fit(&self.models, request, allowed) {
            Fit::Within(cost) => Ok((Some(cost), None)),
            Fit::Shortened(max_tokens, cost) => {
                request.max_tokens = max_tokens;
                Ok((Some(cost), Some(shortened(max_tokens, self.now()))))
            }
            Fit::TooDear(needed) => Err(Error::BudgetExceeded { needed, allowed }),
            Fit::PriceUnknown => Ok((None, None)),
        }
    }

    async fn refuse(
        &self,
        call: &Call,
        source_id: Uuid,
        refusal: Refusal,
        decisions: Vec<Decision>,
        allowed: Usd,
    ) -> Error {
        // A refusal stands even when it cannot be written down.
        if let Err(error) = self
            .decisions
            .record_denied(call, source_id, &decisions)
            .await
        {
            tracing::warn!(name: "governance.refusal_not_logged", "{error}");
        }
        match refusal {
            Refusal::OverBudget if decisions.iter().any(|d| d.rule_id == "cost.ceiling") => {
                Error::BudgetExceeded {
                    needed: allowed,
                    allowed,
                }
            }
            Refusal::OverBudget | Refusal::Denied => Error::Denied(decisions),
        }
    }
}

/// The most that the request may cost: the workspace's ceiling or the caller's own.
fn ceiling(workspace: &Workspace, max_cost: Option<Usd>) -> Usd {
    max_cost.map_or(workspace.request_ceiling, |max| {
        max.min(workspace.request_ceiling)
    })
}

fn shortened(max_tokens: u32, now: Timestamp) -> Decision {
    Decision {
        id: DecisionId::at(now),
        hook: Hook::Before,
        verdict: Verdict::Warn,
        rule_id: "cost.shortened".to_owned(),
        reason: format!(
            "The answer is limited to {max_tokens} tokens, which is what its ceiling pays for."
        ),
    }
}

fn no_such_persona(error: Error) -> Error {
    match error {
        Error::NotFound(_) => Error::Invalid {
            pointer: "/persona_id",
            message: "is not a persona of this workspace".to_owned(),
        },
        other => other,
    }
}
