//! Below the cache: the record of an earlier answer, then the model.

use super::{asking::Asking, ledger::Ledger};
use crate::{Error, answering::Spent};
use mainstay_cache::Loaded;
use mainstay_domain::Answer;
use mainstay_persistence::DbError;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Why there is no answer of a model. Shared by all who waited for it.
#[derive(Debug)]
pub(super) enum Missing {
    /// Postgres is away, so nothing can be recorded and no model is called.
    Unrecordable,
    /// No model answered, or there is none.
    NoModel,
    /// Governance refused what the model said, the question is too dear, or
    /// something is defect.
    Refused(Error),
}

/// The record of a model's failure, and what was spent on it.
pub(super) type OpenRecord = (Ledger, Spent);

/// What only the caller whose load it was may know.
#[derive(Default)]
pub(super) struct Lead {
    /// The loader ran for this caller.
    pub(super) led: bool,
    /// The answer was on record.
    pub(super) on_record: bool,
    /// The record of a model's failure, which a fallback still has to finish.
    pub(super) open: Option<OpenRecord>,
}

/// Carries a [`Lead`] out of the loader.
#[derive(Clone, Default)]
pub(super) struct Leader(Arc<Mutex<Lead>>);

impl Leader {
    fn set(&self, change: impl FnOnce(&mut Lead)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Hands over a record that a fallback is to finish.
    pub(super) fn reopen(&self, record: OpenRecord) {
        self.set(|lead| lead.open = Some(record));
    }

    pub(super) fn take(&self) -> Lead {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Asking {
    /// The loader of the cache: the answer's record, else the model.
    pub(super) async fn load(self, leader: Leader) -> Result<Loaded, Missing> {
        leader.set(|lead| lead.led = true);
        if let Some((answer, left)) = self.on_record().await? {
            leader.set(|lead| lead.on_record = true);
            return to_cache(&answer, left);
        }
        let ttl = self.time_to_live();
        let answer = self.ask_model(&leader, Some(ttl)).await?;
        to_cache(&answer, ttl)
    }

    /// The fresh record of an answer to exactly this question, and how long it stays so.
    pub(super) async fn on_record(&self) -> Result<Option<(Answer, Duration)>, Missing> {
        let services = &self.services;
        let found = services.executions.find_exact(&self.call, &self.key).await;
        let Some(stored) = found.map_err(unrecordable)? else {
            return Ok(None);
        };
        let left = stored.fresh_until.duration_since(services.now());
        Ok(Some((
            stored.answer,
            Duration::try_from(left).unwrap_or_default(),
        )))
    }

    /// Asks the model, between the two halves of its record.
    pub(super) async fn ask_model(
        &self,
        leader: &Leader,
        reusable_for: Option<Duration>,
    ) -> Result<Answer, Missing> {
        let services = &self.services;
        if !services.models.has_models() {
            return Err(Missing::NoModel);
        }
        let question = &self.question;
        let model = services.grant(question).map_err(Missing::Refused)?;
        let mut ledger = self.begin(model.reserved()).await.map_err(unrecordable)?;
        let produced = match services.model_answer(&self.call, question, &model).await {
            Ok(produced) => produced,
            Err((error, spent)) => {
                tracing::warn!(name: "model.failed", "{error}");
                ledger.note(spent);
                leader.reopen((ledger, spent));
                return Err(Missing::NoModel);
            }
        };
        ledger.note(produced.spent);
        match produced.unless_denied() {
            Ok(produced) => {
                let answer = produced.into_answer(self.id.uuid(), self.elapsed_ms());
                ledger.finish(&answer, reusable_for).await;
                Ok(answer)
            }
            Err(denied) => {
                ledger.fail(denied.code());
                Err(Missing::Refused(denied))
            }
        }
    }
}

fn to_cache(answer: &Answer, ttl: Duration) -> Result<Loaded, Missing> {
    let bytes =
        serde_json::to_vec(answer).map_err(|error| Missing::Refused(Error::internal(error)))?;
    Ok(Loaded::Value {
        bytes: bytes.into(),
        ttl: Some(ttl),
        tags: Vec::new(),
    })
}

pub(super) fn unrecordable(error: DbError) -> Missing {
    if error.is_unavailable() {
        Missing::Unrecordable
    } else {
        Missing::Refused(error.into())
    }
}
