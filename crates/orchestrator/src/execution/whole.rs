//! A question whose whole answer is awaited.

use super::{asking::Asking, load::Leader};
use crate::{Error, Orchestrator, question::Ask};
use mainstay_cache::{Cached, LoadError};
use mainstay_domain::{Answer, Provenance};
use mainstay_persistence::Call;

impl Orchestrator {
    /// Answers a one-shot question: from the nearest tier that has the answer,
    /// else from its record, else from a model, else without one.
    ///
    /// # Errors
    /// When the question is refused, too dear or names what is not there.
    /// Away models, caches and databases are no errors: the answer is then
    /// marked degraded.
    pub async fn execute(&self, call: &Call, ask: &Ask) -> Result<Answer, Error> {
        let asking = self.asking(call, ask).await?;
        let answer = if ask.use_cache {
            asking.through_cache().await
        } else {
            asking.afresh().await
        };
        answer.map(|answer| asking.question.restored(answer))
    }
}

impl Asking {
    async fn afresh(&self) -> Result<Answer, Error> {
        let leader = Leader::default();
        match self.ask_model(&leader, None).await {
            Ok(answer) => Ok(answer),
            Err(missing) => self.plan_b(&missing, &leader).await,
        }
    }

    async fn through_cache(&self) -> Result<Answer, Error> {
        let cache = &self.services.cache;
        let key = self.cache_key();
        if let Some(cached) = cache.get_hot(&key) {
            return self.serve_cached(&cached);
        }
        let leader = Leader::default();
        let load = {
            let (asking, leader) = (self.clone(), leader.clone());
            move || asking.load(leader)
        };
        match cache
            .get_or_load(&key, &self.options(self.time_to_live()), load)
            .await
        {
            Ok(cached) => self.loaded(&cached, &leader),
            Err(LoadError::Failed(missing)) => self.plan_b(&missing, &leader).await,
            Err(LoadError::Timeout { .. }) => Err(Error::DeadlineExceeded),
            Err(_) => Err(Error::internal("the answer's loader panicked")),
        }
    }

    /// What the cache gave: this caller's own load, or somebody's earlier one.
    /// A stale answer stands in for a load that failed; dropping the lead ends
    /// that load's record.
    fn loaded(&self, cached: &Cached, leader: &Leader) -> Result<Answer, Error> {
        let lead = leader.take();
        if !lead.led || cached.stale {
            return self.serve_cached(cached);
        }
        let answer: Answer = serde_json::from_slice(&cached.value).map_err(Error::internal)?;
        if lead.on_record {
            return Ok(self.serve_stored(answer, Provenance::CacheShared, false));
        }
        Ok(answer)
    }
}
