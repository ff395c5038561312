//! The one shape of an answer, whatever produced it.

use crate::{
    governance::Decision,
    ids::{KnowledgeId, PersonaId},
    money::Usd,
    usage::Tokens,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Provenance {
    /// This process's memory.
    #[serde(rename = "cache.hot")]
    CacheHot,
    /// This machine's disk.
    #[serde(rename = "cache.warm")]
    CacheWarm,
    /// What the instances share: Redis, or the record of the answer in Postgres.
    #[serde(rename = "cache.shared")]
    CacheShared,
    /// A model, just now.
    #[serde(rename = "model")]
    Model,
    /// The best passage of the knowledge base; no model was involved.
    #[serde(rename = "knowledge")]
    Knowledge,
    /// The fixed text of last resort.
    #[serde(rename = "default")]
    Default,
}

impl Provenance {
    /// The stable name, as stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CacheHot => "cache.hot",
            Self::CacheWarm => "cache.warm",
            Self::CacheShared => "cache.shared",
            Self::Model => "model",
            Self::Knowledge => "knowledge",
            Self::Default => "default",
        }
    }
}

/// A passage that an answer rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// The document.
    pub document_id: KnowledgeId,
    /// Its title.
    pub title: String,
    /// The passage that was used.
    pub passage: String,
}

/// An answer with everything that a person may ask about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The execution's or message's id.
    pub id: Uuid,
    /// The text.
    pub answer: String,
    /// Where it came from.
    pub provenance: Provenance,
    /// What it rests on.
    pub citations: Vec<Citation>,
    /// The personas that shaped it.
    pub persona_ids: Vec<PersonaId>,
    /// The model that wrote it, when one did.
    pub model: Option<String>,
    /// Tokens that the provider counted; zero when no model was called for this answer.
    pub usage: Tokens,
    /// What this answer cost; `None` when the model's price is unknown.
    pub cost_usd: Option<Usd>,
    /// What governance decided on the way.
    pub decisions: Vec<Decision>,
    /// True when it is less than what was asked for, such as a passage instead of a model's answer.
    pub degraded: bool,
    /// From the request's arrival to the answer, in milliseconds.
    pub elapsed_ms: u64,
}
