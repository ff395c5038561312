//! POST `/api/v1/personas/suggest`.

use super::PersonaBody;
use crate::{
    extract::ApiJson,
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
};
use actix_web::http::Method;
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::Call;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A task that looks for personas.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuggestRequest {
    /// What is to be done.
    #[garde(length(chars, min = 1, max = 10_000))]
    description: String,
}

/// Personas that fit, best first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Suggestions {
    /// At most three.
    items: Vec<SuggestionBody>,
}

/// A persona that fits, and why.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Suggestion")]
pub(crate) struct SuggestionBody {
    /// The persona.
    persona: PersonaBody,
    /// The words that the task and the persona share.
    matched: Vec<String>,
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/personas/suggest",
        "personas.suggest",
        Access::Requires(Permission::ReadPersonas),
        suggest,
    )
    .summary("Personas that fit a task")
}

async fn suggest(
    call: Call,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<SuggestRequest>,
) -> Result<Json<Suggestions>, Problem> {
    let found = orchestrator
        .suggest_personas(&call, &body.description)
        .await?;
    Ok(Json(Suggestions {
        items: found
            .into_iter()
            .map(|one| SuggestionBody {
                persona: one.persona.into(),
                matched: one.matched,
            })
            .collect(),
    }))
}
