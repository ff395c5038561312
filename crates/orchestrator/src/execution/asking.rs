//! One question on its way down.

use crate::{
    Error, Orchestrator,
    question::{Ask, Question},
    services::Services,
};
use mainstay_cache::{Key, Options};
use mainstay_domain::ExecutionId;
use mainstay_persistence::Call;
use std::{sync::Arc, time::Duration};

/// The longest that a load may take, for callers without a deadline.
const LONGEST_LOAD: Duration = Duration::from_secs(600);

/// A question that governance has let pass, with all that its answer needs.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) services: Arc<Services>,
    pub(super) call: Call,
    pub(super) id: ExecutionId,
    pub(super) question: Question,
    /// Names everything that the answer depends on.
    pub(super) key: [u8; 32],
    /// When the question arrived, on the monotonic clock.
    pub(super) started: Duration,
}

impl Orchestrator {
    pub(super) async fn asking(&self, call: &Call, ask: &Ask) -> Result<Asking, Error> {
        let services = Arc::clone(&self.0);
        let started = services.clock.now();
        let id = ExecutionId::at(services.now());
        let question = services.prepare(call, ask, id.uuid()).await?;
        Ok(Asking {
            key: question.cache_key(call.principal()),
            services,
            call: *call,
            id,
            question,
            started,
        })
    }
}

impl Asking {
    pub(super) fn cache_key(&self) -> Key {
        Key::from_id("answer", self.key)
    }

    pub(super) fn options(&self, ttl: Duration) -> Options {
        let config = &self.services.config;
        let patience = self.call.deadline.remaining(&*self.services.clock);
        Options::ttl(ttl)
            .stale_if_error(Duration::from_secs(config.answer_stale_seconds))
            .tags([crate::caching::workspace_tag(&self.call)])
            .load_timeout(patience.clamp(Duration::from_millis(1), LONGEST_LOAD))
    }

    pub(super) fn time_to_live(&self) -> Duration {
        Duration::from_secs(self.services.config.answer_ttl_seconds)
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        self.services.elapsed_ms(self.started)
    }
}
