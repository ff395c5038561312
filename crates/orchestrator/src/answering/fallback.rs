//! The non-AI chain: an older answer, the best passage of the knowledge base,
//! a default text. Always degraded, always with its provenance.

use super::{Ending, Produced, Spent};
use crate::{question::Question, services::Services};
use mainstay_domain::{Answer, Citation, Passage, Provenance};
use mainstay_persistence::{Call, DbError};
use mainstay_resilience::{Chain, Found, Name};

impl Services {
    /// Answers without a model. `key` finds an earlier answer to exactly this
    /// question; it is `None` where earlier answers do not apply. It cannot
    /// fail: the last step is a fixed text.
    pub(crate) async fn answer_without_model(
        &self,
        call: &Call,
        question: &Question,
        key: Option<[u8; 32]>,
        spent: Spent,
    ) -> Produced {
        let default = || PlanB::Text(self.config.default_answer.clone());
        let found = Chain::new(Name::literal("plan_b"))
            .step(Name::literal("older_answer"), self.older_answer(call, key))
            .step(
                Name::literal("knowledge"),
                self.best_passage(call, &question.prompt),
            )
            .default(default)
            .run()
            .await
            .map_or_else(|_| default(), mainstay_resilience::Answer::into_value);
        let mut produced = Produced {
            text: String::new(),
            ending: Ending::Whole,
            provenance: Provenance::Default,
            citations: Vec::new(),
            persona_ids: question.persona_ids(),
            model: None,
            spent,
            decisions: question.decisions.clone(),
            degraded: true,
        };
        match found {
            PlanB::Older(older) => {
                produced.text = older.answer;
                produced.citations = older.citations;
                produced.model = older.model;
                produced.provenance = Provenance::CacheShared;
            }
            PlanB::Passage(passage) => {
                produced.text.clone_from(&passage.text);
                produced.citations = vec![Citation {
                    document_id: passage.document_id,
                    title: passage.title,
                    passage: passage.text,
                }];
                produced.provenance = Provenance::Knowledge;
            }
            PlanB::Text(text) => produced.text = text,
        }
        produced
    }

    async fn older_answer(
        &self,
        call: &Call,
        key: Option<[u8; 32]>,
    ) -> Result<Found<PlanB>, DbError> {
        let Some(key) = key else {
            return Ok(Found::Miss);
        };
        let stored = self.executions.find_stale(call, &key).await?;
        Ok(stored
            .map(|stored| PlanB::Older(Box::new(stored.answer)))
            .into())
    }

    async fn best_passage(&self, call: &Call, prompt: &str) -> Result<Found<PlanB>, DbError> {
        let found = self.knowledge.search(call, prompt, 1).await?;
        Ok(found.into_iter().next().map(PlanB::Passage).into())
    }
}

/// What the chain found.
enum PlanB {
    Older(Box<Answer>),
    Passage(Passage),
    Text(String),
}
