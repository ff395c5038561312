//! POST `/api/v1/governance/policies/evaluate`.

use crate::{
    extract::ApiJson,
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
    wire::{self, DecisionBody, Dollars},
};
use actix_web::http::Method;
use mainstay_domain::{Prompt, Verdict};
use mainstay_identity::Permission;
use mainstay_orchestrator::{Ask, Orchestrator};
use mainstay_persistence::Call;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A question that shall not be asked, only judged.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvaluateRequest {
    /// The question, 1 to 100,000 characters.
    #[garde(length(chars, min = 1, max = 100_000))]
    prompt: String,
    /// Text that the answer would take into account.
    #[garde(length(chars, min = 1, max = 100_000))]
    context: Option<String>,
    /// The persona that would answer, whose model and length decide the price.
    #[garde(skip)]
    persona_id: Option<Uuid>,
    /// The most that it may cost, below the workspace's own ceiling, such as `"0.05"`.
    #[garde(length(max = 24))]
    max_cost_usd: Option<String>,
}

/// What would happen to the question.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Evaluation {
    /// The severest verdict: `allow`, `warn`, `redact` or `deny`.
    verdict: &'static str,
    /// The code that the question would be refused with; null when it would be asked.
    refused_with: Option<&'static str>,
    /// What would be decided, with the rules and the reasons. These are not logged.
    decisions: Vec<DecisionBody>,
    /// The question as the model would see it.
    prompt: String,
    /// The context as the model would see it.
    context: Option<String>,
    /// The most that the answer could cost; null when the model's price is unknown.
    estimated_ceiling_usd: Option<Dollars>,
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/governance/policies/evaluate",
        "governance.evaluate",
        Access::Requires(Permission::ReadGovernance),
        evaluate,
    )
    .summary("What governance would decide about a question")
    .description("A dry run: nothing is asked, spent, stored or logged.")
}

async fn evaluate(
    call: Call,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<EvaluateRequest>,
) -> Result<Json<Evaluation>, Problem> {
    let text = |pointer: &'static str, text: String| {
        Prompt::parse(text).map_err(|error| Problem::field(pointer, error.to_string()))
    };
    let ask = Ask {
        prompt: text("/prompt", body.prompt)?,
        persona_ids: body.persona_id.into_iter().map(Into::into).collect(),
        context: body.context.map(|it| text("/context", it)).transpose()?,
        use_cache: false,
        max_cost: body
            .max_cost_usd
            .map(|it| wire::dollars("/max_cost_usd", &it))
            .transpose()?,
        traceparent: None,
    };
    let rehearsal = orchestrator.rehearse(&call, &ask).await?;
    Ok(Json(Evaluation {
        verdict: match rehearsal.verdict {
            Verdict::Allow => "allow",
            Verdict::Warn => "warn",
            Verdict::Redact => "redact",
            Verdict::Deny => "deny",
        },
        refused_with: rehearsal.refused_with,
        decisions: rehearsal.decisions.into_iter().map(Into::into).collect(),
        prompt: rehearsal.prompt,
        context: rehearsal.context,
        estimated_ceiling_usd: rehearsal.estimated_ceiling.map(Into::into),
    }))
}
