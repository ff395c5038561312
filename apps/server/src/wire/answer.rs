//! Answers.

use super::Dollars;
use mainstay_domain::{Answer, Citation, Decision, Hook, Provenance, Tokens, Verdict};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// An answer with everything that a person may ask about it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Answer")]
pub(crate) struct AnswerBody {
    /// The execution's id.
    pub id: Uuid,
    /// The text.
    pub answer: String,
    #[serde(flatten)]
    pub about: DoneBody,
}

/// An answer without its text: what ends a stream.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "AnswerDetails")]
pub(crate) struct DoneBody {
    /// Where it came from: `cache.hot`, `cache.warm`, `cache.shared`, `model`,
    /// `knowledge` or `default`.
    pub provenance: &'static str,
    /// What it rests on.
    pub citations: Vec<CitationBody>,
    /// The personas that shaped it.
    pub persona_ids: Vec<Uuid>,
    /// The model that wrote it, when one did.
    pub model: Option<String>,
    /// Tokens that the provider counted; zero when no model was called.
    pub usage: TokensBody,
    /// What it cost; null when the model's price is unknown.
    pub cost_usd: Option<Dollars>,
    /// What governance decided on the way.
    pub decisions: Vec<DecisionBody>,
    /// True when it is less than what was asked for.
    pub degraded: bool,
    /// From the request's arrival to the answer, in milliseconds.
    pub elapsed_ms: u64,
}

/// A passage that an answer rests on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Citation")]
pub(crate) struct CitationBody {
    /// The document.
    pub document_id: Uuid,
    /// Its title.
    pub title: String,
    /// The passage that was used.
    pub passage: String,
}

/// Tokens of one answer.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "Tokens")]
pub(crate) struct TokensBody {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// The part of the input that came from the provider's prompt cache.
    pub cached_tokens: u64,
}

/// What governance decided, with the reason and the rule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Decision")]
pub(crate) struct DecisionBody {
    /// Its id.
    pub id: Uuid,
    /// Where it was made: `before`, `chunk` or `after`.
    pub hook: &'static str,
    /// `allow`, `warn`, `redact` or `deny`.
    pub verdict: &'static str,
    /// The rule, such as `personal_data.email`.
    pub rule_id: String,
    /// One sentence for a person.
    pub reason: String,
}

impl From<Answer> for AnswerBody {
    fn from(mut answer: Answer) -> Self {
        Self {
            id: answer.id,
            answer: std::mem::take(&mut answer.answer),
            about: DoneBody::from(answer),
        }
    }
}

impl From<Answer> for DoneBody {
    fn from(answer: Answer) -> Self {
        Self {
            provenance: provenance(answer.provenance),
            citations: answer.citations.into_iter().map(Into::into).collect(),
            persona_ids: answer.persona_ids.iter().map(|id| id.uuid()).collect(),
            model: answer.model,
            usage: answer.usage.into(),
            cost_usd: answer.cost_usd.map(Into::into),
            decisions: answer.decisions.into_iter().map(Into::into).collect(),
            degraded: answer.degraded,
            elapsed_ms: answer.elapsed_ms,
        }
    }
}

pub(crate) const fn provenance(provenance: Provenance) -> &'static str {
    provenance.as_str()
}

impl From<Citation> for CitationBody {
    fn from(citation: Citation) -> Self {
        Self {
            document_id: citation.document_id.uuid(),
            title: citation.title,
            passage: citation.passage,
        }
    }
}

impl From<Tokens> for TokensBody {
    fn from(tokens: Tokens) -> Self {
        Self {
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            cached_tokens: tokens.cached,
        }
    }
}

impl From<Decision> for DecisionBody {
    fn from(decision: Decision) -> Self {
        Self {
            id: decision.id.uuid(),
            hook: match decision.hook {
                Hook::Before => "before",
                Hook::Chunk => "chunk",
                Hook::After => "after",
            },
            verdict: match decision.verdict {
                Verdict::Allow => "allow",
                Verdict::Warn => "warn",
                Verdict::Redact => "redact",
                Verdict::Deny => "deny",
            },
            rule_id: decision.rule_id,
            reason: decision.reason,
        }
    }
}
