//! A question whose answer is read along as it is made.

use super::{
    asking::Asking,
    load::{Leader, Missing, OpenRecord, unrecordable},
};
use crate::{
    Error, Orchestrator,
    answering::{Ending, Heard},
    event::{AnswerEvent, Failure},
    question::Ask,
    sink::{AnswerSink, ClientSink},
};
use mainstay_domain::{Answer, Provenance};
use mainstay_persistence::Call;
use tokio::sync::mpsc;
use uuid::Uuid;

/// The steps of an answer. Dropping it cancels the work.
#[derive(Debug)]
pub struct ExecutionStream {
    /// The execution's id.
    pub id: Uuid,
    events: mpsc::Receiver<AnswerEvent>,
}

impl ExecutionStream {
    /// The next step; `None` after the last.
    pub async fn next(&mut self) -> Option<AnswerEvent> {
        self.events.recv().await
    }
}

impl Orchestrator {
    /// As [`Orchestrator::execute`], read along.
    ///
    /// # Errors
    /// When the question is refused, too dear or names what is not there.
    /// Whatever happens later comes as an event.
    pub async fn execute_stream(&self, call: &Call, ask: &Ask) -> Result<ExecutionStream, Error> {
        let asking = self.asking(call, ask).await?;
        let id = asking.id.uuid();
        let (mut sink, events) = ClientSink::new(self.0.shutdown.clone());
        let use_cache = ask.use_cache;
        let task = async move { asking.tell(use_cache, &mut sink).await };
        self.0.tasks.spawn_on(task, &self.0.runtime);
        Ok(ExecutionStream { id, events })
    }
}

impl Asking {
    async fn tell(self, use_cache: bool, sink: &mut ClientSink) {
        let id = self.id.uuid();
        sink.emit(AnswerEvent::Start {
            message_id: id,
            run_id: id,
        })
        .await;
        for decision in &self.question.decisions {
            sink.emit(AnswerEvent::Decision(decision.clone())).await;
        }
        let last = match self.answer_into(use_cache, sink).await {
            Ok(Some(answer)) => {
                sink.emit(AnswerEvent::usage(answer.usage, answer.cost_usd))
                    .await;
                AnswerEvent::Done(Box::new(answer))
            }
            Ok(None) => AnswerEvent::Failed(Failure::interrupted()),
            Err(error) => AnswerEvent::Failed(Failure::from(&error)),
        };
        sink.emit(last).await;
    }

    /// The answer, or `None` when it was stopped.
    async fn answer_into(
        &self,
        use_cache: bool,
        sink: &mut ClientSink,
    ) -> Result<Option<Answer>, Error> {
        if use_cache && let Some(answer) = self.stored().await? {
            let answer = self.question.restored(answer);
            sink.emit(AnswerEvent::Delta(answer.answer.clone())).await;
            return Ok(Some(answer));
        }
        let leader = Leader::default();
        match self.model_into(use_cache, sink).await {
            Ok(told) => Ok(told.map(|answer| self.question.restored(answer))),
            Err((missing, ledger)) => {
                if let Some(ledger) = ledger {
                    leader.reopen(ledger);
                }
                let answer = self.plan_b(&missing, &leader).await?;
                let answer = self.question.restored(answer);
                sink.emit(AnswerEvent::Delta(answer.answer.clone())).await;
                Ok(Some(answer))
            }
        }
    }

    /// An answer from a tier of the cache or from its record.
    async fn stored(&self) -> Result<Option<Answer>, Error> {
        if let Some(cached) = self.services.cache.get(&self.cache_key()).await {
            return self.serve_cached(&cached).map(Some);
        }
        match self.on_record().await {
            Ok(Some((answer, left))) => {
                self.remember(&answer, left).await?;
                Ok(Some(self.serve_stored(
                    answer,
                    Provenance::CacheShared,
                    false,
                )))
            }
            // The model's own path meets the same trouble and deals with it.
            Ok(None) | Err(Missing::Unrecordable | Missing::NoModel) => Ok(None),
            Err(Missing::Refused(error)) => Err(error),
        }
    }

    async fn model_into(
        &self,
        use_cache: bool,
        sink: &mut ClientSink,
    ) -> Result<Option<Answer>, (Missing, Option<OpenRecord>)> {
        let services = &self.services;
        if !services.models.has_models() {
            return Err((Missing::NoModel, None));
        }
        let question = &self.question;
        let model = services
            .grant(question)
            .map_err(|error| (Missing::Refused(error), None))?;
        let mut ledger = self
            .begin(model.reserved())
            .await
            .map_err(|error| (unrecordable(error), None))?;
        let produced = match services
            .stream_model(&self.call, question, &model, sink)
            .await
        {
            Heard::Answer(produced) => produced,
            Heard::Failed(error, spent) => {
                if let Some(error) = error {
                    tracing::warn!(name: "model.failed", "{error}");
                }
                ledger.note(spent);
                return Err((Missing::NoModel, Some((ledger, spent))));
            }
        };
        ledger.note(produced.spent);
        match produced.ending {
            Ending::Denied => {
                let denied = Error::Denied(produced.decisions);
                ledger.fail(denied.code());
                Err((Missing::Refused(denied), None))
            }
            Ending::Stopped(_) => {
                ledger.fail("cancelled");
                Ok(None)
            }
            Ending::Whole => {
                let answer = produced.into_answer(self.id.uuid(), self.elapsed_ms());
                let ttl = use_cache.then(|| self.time_to_live());
                ledger.finish(&answer, ttl).await;
                if let Some(ttl) = ttl {
                    self.remember(&answer, ttl)
                        .await
                        .map_err(|error| (Missing::Refused(error), None))?;
                }
                Ok(Some(answer))
            }
        }
    }

    /// Puts an answer where the next one will look for it.
    async fn remember(&self, answer: &Answer, ttl: std::time::Duration) -> Result<(), Error> {
        let bytes = serde_json::to_vec(answer).map_err(Error::internal)?;
        let options = self.options(ttl);
        // Another answer to the same question is as good, so it does not
        // matter whether other instances heard of this one.
        let _ = self
            .services
            .cache
            .put(&self.cache_key(), bytes, &options)
            .await;
        Ok(())
    }
}
