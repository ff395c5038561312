//! When no model answered.

use super::{
    asking::Asking,
    load::{Leader, Missing},
};
use crate::{Error, answering::Spent};
use mainstay_domain::{Answer, Usd};

impl Asking {
    /// Answers without a model, and writes that down where it can be.
    pub(super) async fn plan_b(&self, missing: &Missing, leader: &Leader) -> Result<Answer, Error> {
        let (ledger, spent) = match missing {
            Missing::Refused(error) => return Err(error.retold()),
            Missing::Unrecordable => (None, Spent::NOTHING),
            Missing::NoModel => match leader.take().open {
                Some((ledger, spent)) => (Some(ledger), spent),
                // Whoever waited for another's load has no record yet.
                None => (self.begin(Some(Usd::ZERO)).await.ok(), Spent::NOTHING),
            },
        };
        let produced = self
            .services
            .answer_without_model(&self.call, &self.question, Some(self.key), spent)
            .await;
        let answer = produced.into_answer(self.id.uuid(), self.elapsed_ms());
        if let Some(ledger) = ledger {
            ledger.finish(&answer, None).await;
        }
        Ok(answer)
    }
}
