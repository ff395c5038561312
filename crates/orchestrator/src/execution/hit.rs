//! An answer that was there already.

use super::asking::Asking;
use crate::Error;
use mainstay_cache::{Cached, Source};
use mainstay_domain::{Answer, Hook, Provenance, Tokens, UsageId, Usd};
use mainstay_persistence::CacheHit;

impl Asking {
    /// Serves what the cache gave. An answer that another request was just
    /// waiting for is in this process's memory.
    pub(super) fn serve_cached(&self, cached: &Cached) -> Result<Answer, Error> {
        let stored = serde_json::from_slice(&cached.value).map_err(Error::internal)?;
        let provenance = match cached.source {
            Source::Warm => Provenance::CacheWarm,
            Source::Shared => Provenance::CacheShared,
            Source::Hot | Source::Loaded => Provenance::CacheHot,
        };
        Ok(self.serve_stored(stored, provenance, cached.stale))
    }

    /// Makes a stored answer this caller's: a new id, nothing spent, where it
    /// came from; and notes it without waiting.
    pub(super) fn serve_stored(
        &self,
        stored: Answer,
        provenance: Provenance,
        stale: bool,
    ) -> Answer {
        let mut decisions = self.question.decisions.clone();
        let said_of_answer = |decision: &mainstay_domain::Decision| decision.hook != Hook::Before;
        decisions.extend(stored.decisions.into_iter().filter(said_of_answer));
        let answer = Answer {
            id: self.id.uuid(),
            answer: stored.answer,
            provenance,
            citations: stored.citations,
            persona_ids: stored.persona_ids,
            model: stored.model,
            usage: Tokens::default(),
            cost_usd: Some(Usd::ZERO),
            decisions,
            degraded: stale || stored.degraded,
            elapsed_ms: self.elapsed_ms(),
        };
        self.note(&answer);
        answer
    }

    fn note(&self, answer: &Answer) {
        let now = self.services.now();
        let caller = &self.call.caller;
        self.services.recorder.note(CacheHit {
            usage_id: UsageId::at(now),
            workspace_id: caller.principal.workspace_id,
            user_id: caller.principal.user_id,
            source_id: answer.id,
            persona_id: answer.persona_ids.first().copied(),
            model: answer.model.clone(),
            provenance: answer.provenance,
            elapsed_ms: answer.elapsed_ms,
            correlation_id: caller.correlation_id,
            at: now,
        });
    }
}
