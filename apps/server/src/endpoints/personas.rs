//! Personas: rows that choose the prompt and the model.

pub(crate) mod change;
pub(crate) mod list;
pub(crate) mod suggest;

use crate::problem::Problem;
use jiff::Timestamp;
use mainstay_domain::{Name, Persona, PersonaDraft, Prompt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A persona.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Persona")]
pub(crate) struct PersonaBody {
    /// Its id.
    id: Uuid,
    /// Unique in its workspace.
    name: String,
    /// What it is good at.
    description: String,
    /// The system prompt.
    system_prompt: String,
    /// The named model; null means the deployment's default.
    model: Option<String>,
    /// Sampling temperature; null means the provider's default.
    temperature: Option<f32>,
    /// The most tokens that an answer may have.
    max_tokens: u32,
    /// Counts its changes from 1; also the `ETag`.
    version: i32,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

impl From<Persona> for PersonaBody {
    fn from(persona: Persona) -> Self {
        let draft = persona.draft;
        Self {
            id: persona.id.uuid(),
            name: draft.name.into(),
            description: draft.description,
            system_prompt: draft.system_prompt.into(),
            model: draft.model,
            temperature: draft.temperature,
            max_tokens: draft.max_tokens,
            version: persona.version,
            created_at: persona.created_at,
            updated_at: persona.updated_at,
        }
    }
}

/// What is written about a persona.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersonaRequest {
    /// Unique in its workspace.
    #[garde(length(chars, min = 1, max = 120))]
    name: String,
    /// What it is good at; shown to people and matched by suggestions.
    #[garde(length(chars, max = 2_000))]
    #[serde(default)]
    description: String,
    /// The system prompt.
    #[garde(length(chars, min = 1, max = 100_000))]
    system_prompt: String,
    /// A named model; without it the deployment's default.
    #[garde(length(chars, min = 1, max = 120))]
    model: Option<String>,
    /// Sampling temperature, 0 to 2; without it the provider's default.
    #[garde(range(min = 0.0, max = 2.0))]
    temperature: Option<f32>,
    /// The most tokens that an answer may have, 1 to 64,000. Default 1024.
    #[garde(range(min = 1, max = 64_000))]
    max_tokens: Option<u32>,
}

impl PersonaRequest {
    fn into_draft(self) -> Result<PersonaDraft, Problem> {
        Ok(PersonaDraft {
            name: Name::parse(&self.name)
                .map_err(|error| Problem::field("/name", error.to_string()))?,
            description: self.description,
            system_prompt: Prompt::parse(self.system_prompt)
                .map_err(|error| Problem::field("/system_prompt", error.to_string()))?,
            model: self.model,
            temperature: self.temperature,
            max_tokens: self.max_tokens.unwrap_or(PersonaDraft::DEFAULT_MAX_TOKENS),
        })
    }
}

/// The version that a change is made to; a change to whatever is there needs
/// no `If-Match`, and then the present version is read first.
pub(crate) async fn version_of<F>(wanted: Option<i32>, present: F) -> Result<i32, Problem>
where
    F: Future<Output = Result<i32, Problem>>,
{
    match wanted {
        Some(version) => Ok(version),
        None => present.await,
    }
}
