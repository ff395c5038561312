//! Making an answer: a model within its ceiling, governance on what it says,
//! and the non-AI chain when no model can.

mod complete;
mod fallback;
mod prepare;
mod rehearse;
mod stream;

pub use rehearse::Rehearsal;
pub(crate) use stream::Heard;

use crate::sink::Stop;
use mainstay_domain::{Answer, Citation, Decision, PersonaId, Provenance, Tokens, Usd};
use uuid::Uuid;

/// How the making of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The answer is whole.
    Whole,
    /// It was not wanted any more; what there is, is kept.
    Stopped(Stop),
    /// Governance refused what the model said.
    Denied,
}

/// An answer as it was made, before it has an id.
#[derive(Debug, Clone)]
pub(crate) struct Produced {
    pub(crate) text: String,
    pub(crate) ending: Ending,
    pub(crate) provenance: Provenance,
    pub(crate) citations: Vec<Citation>,
    pub(crate) persona_ids: Vec<PersonaId>,
    pub(crate) model: Option<String>,
    pub(crate) spent: Spent,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) degraded: bool,
}

/// What was used up on the way, by failed attempts too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) tokens: Tokens,
    /// `None` when a price is unknown.
    pub(crate) cost: Option<Usd>,
}

impl Spent {
    /// Nothing, which costs nothing.
    pub(crate) const NOTHING: Self = Self {
        tokens: Tokens {
            input: 0,
            output: 0,
            cached: 0,
        },
        cost: Some(Usd::ZERO),
    };
}

impl Produced {
    /// The answer as it is sent, under `id`.
    pub(crate) fn into_answer(self, id: Uuid, elapsed_ms: u64) -> Answer {
        Answer {
            id,
            answer: self.text,
            provenance: self.provenance,
            citations: self.citations,
            persona_ids: self.persona_ids,
            model: self.model,
            usage: self.spent.tokens,
            cost_usd: self.spent.cost,
            decisions: self.decisions,
            degraded: self.degraded,
            elapsed_ms,
        }
    }
}
