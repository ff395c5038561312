//! Ends of records that could not be written when they were due.

use crate::services::Services;
use mainstay_persistence::{Call, DbError};
use mainstay_resilience::Deadline;
use std::{sync::Arc, time::Duration};

/// How long a write is tried again.
const PERSISTENCE: Duration = Duration::from_secs(600);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);

impl Services {
    /// Writes in the background until the database takes it, for a bounded
    /// time. Should the process end before, whatever the record is of is found
    /// without its owner and ended as an orphan.
    pub(crate) fn write_later<F, Fut>(self: &Arc<Self>, call: Call, what: &'static str, write: F)
    where
        F: Fn(Arc<Self>, Call) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), DbError>> + Send,
    {
        let services = Arc::clone(self);
        let task = async move {
            let until = Deadline::after(&*services.clock, PERSISTENCE);
            let mut backoff = services.backoff.clone();
            while !until.is_expired(&*services.clock) {
                let call = Call {
                    deadline: Deadline::after(&*services.clock, TRY),
                    ..call
                };
                match write(Arc::clone(&services), call).await {
                    // A conflict says that an earlier try had arrived after all.
                    Ok(()) | Err(DbError::Conflict(_)) => return,
                    Err(error) if error.is_unavailable() => {}
                    Err(error) => {
                        tracing::error!(name: "record.not_ended", what, "{error}");
                        return;
                    }
                }
                tokio::select! {
                    () = services.shutdown.cancelled() => break,
                    () = tokio::time::sleep(backoff.next_delay()) => {}
                }
            }
            tracing::error!(name: "record.not_ended", what, "the database stayed away; the record is left to the orphan job");
        };
        self.tasks.spawn_on(task, &self.runtime);
    }
}
