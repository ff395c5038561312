//! The record of one execution: begun before a model is called, and ended
//! exactly once, whatever becomes of the caller.

use super::asking::Asking;
use crate::{answering::Spent, services::Services};
use mainstay_domain::{Answer, ExecutionId, UsageId, Usd};
use mainstay_persistence::{BeginExecution, Call, DbError, FinishExecution};
use mainstay_resilience::Deadline;
use std::{sync::Arc, time::Duration};

/// How long one try to write the end may take.
const TRY: Duration = Duration::from_secs(5);

/// An execution that has begun. Dropping it unfinished, as happens when the
/// caller leaves, ends the record as cancelled.
pub(super) struct Ledger {
    services: Arc<Services>,
    call: Call,
    id: ExecutionId,
    usage_id: UsageId,
    spent: Option<Usd>,
    open: bool,
}

impl Asking {
    /// Writes down that the question is about to be answered and reserves what
    /// it may cost: all of the ceiling when the price is unknown. Without this
    /// record no model is called.
    pub(super) async fn begin(&self, reserved: Option<Usd>) -> Result<Ledger, DbError> {
        let usage_id = UsageId::at(self.services.now());
        let question = &self.question;
        let begin = BeginExecution {
            id: self.id,
            usage_id,
            cache_key: self.key,
            persona_id: question.personas.first().map(|persona| persona.id),
            model: Some(question.request.model.clone()).filter(|model| !model.is_empty()),
            reserved: reserved.unwrap_or(question.ceiling),
            instance_id: self.services.instance_id,
        };
        self.services.executions.begin(&self.call, &begin).await?;
        Ok(Ledger {
            services: Arc::clone(&self.services),
            call: self.call,
            id: self.id,
            usage_id,
            spent: None,
            open: true,
        })
    }
}

impl Ledger {
    /// Remembers what was spent so far, for the case that there is no answer.
    pub(super) fn note(&mut self, spent: Spent) {
        self.spent = spent.cost;
    }

    /// Stores the answer and settles its cost. When the database is away, that
    /// is done as soon as it is back; the caller has their answer meanwhile.
    pub(super) async fn finish(mut self, answer: &Answer, reusable_for: Option<Duration>) {
        self.open = false;
        let services = Arc::clone(&self.services);
        let end = FinishExecution {
            id: self.id,
            usage_id: self.usage_id,
            answer: answer.clone(),
            reusable_for,
        };
        let call = Call {
            deadline: Deadline::after(&*services.clock, TRY),
            ..self.call
        };
        match services.executions.finish(&call, &end).await {
            Ok(()) => {}
            Err(error) if error.is_unavailable() => {
                services.write_later(self.call, "execution", move |services, call| {
                    let end = end.clone();
                    async move { services.executions.finish(&call, &end).await }
                });
            }
            Err(error) => {
                tracing::error!(name: "execution.not_stored", execution = %self.id, "{error}");
            }
        }
    }

    /// Ends the record without an answer.
    pub(super) fn fail(mut self, why: &'static str) {
        self.open = false;
        self.close(why);
    }

    fn close(&self, why: &'static str) {
        let (id, usage_id, spent) = (self.id, self.usage_id, self.spent);
        self.services
            .write_later(self.call, "execution", move |services, call| async move {
                services
                    .executions
                    .fail(&call, id, usage_id, why, spent)
                    .await
            });
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.open {
            self.close("cancelled");
        }
    }
}
