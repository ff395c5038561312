//! Personas: rows that choose the prompt and the model.

use crate::{
    ids::{PersonaId, WorkspaceId},
    text::{Name, Prompt},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an administrator writes about a persona.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonaDraft {
    /// Unique in its workspace.
    pub name: Name,
    /// What it is good at; shown to people and matched by suggestions.
    pub description: String,
    /// The system prompt.
    pub system_prompt: Prompt,
    /// The named model, or the deployment's default.
    pub model: Option<String>,
    /// Sampling temperature from 0 to 2, or the provider's default.
    pub temperature: Option<f32>,
    /// The most tokens that an answer may have.
    pub max_tokens: u32,
}

impl PersonaDraft {
    /// The default of `max_tokens`.
    pub const DEFAULT_MAX_TOKENS: u32 = 1024;
}

/// A persona of a workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Persona {
    /// Its id.
    pub id: PersonaId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// What was written about it.
    #[serde(flatten)]
    pub draft: PersonaDraft,
    /// Counts its changes from 1; part of every cache key, so that a changed
    /// persona never answers with its former voice.
    pub version: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
