//! A run's log as the place where an answer goes.

use crate::{
    event::AnswerEvent,
    services::{RunKey, Services},
    sink::{AnswerSink, Stop},
};
use mainstay_domain::MessageId;
use mainstay_persistence::Call;
use mainstay_realtime::RunWriter;
use mainstay_resilience::Deadline;
use std::{sync::Arc, time::Duration};

/// How often what was written so far is stored.
const CHECKPOINT: Duration = Duration::from_secs(2);
/// How long a checkpoint may hold the answer up.
const PATIENCE: Duration = Duration::from_millis(500);

/// Many may read along, or nobody; the run goes on until somebody stops it or
/// nobody has watched for long.
pub(super) struct RunSink {
    writer: RunWriter<RunKey, AnswerEvent>,
    services: Arc<Services>,
    call: Call,
    message_id: MessageId,
    text: String,
    stored_at: Duration,
    full: bool,
}

impl RunSink {
    pub(super) fn new(
        writer: RunWriter<RunKey, AnswerEvent>,
        services: Arc<Services>,
        call: Call,
        message_id: MessageId,
    ) -> Self {
        Self {
            stored_at: services.clock.now(),
            writer,
            services,
            call,
            message_id,
            text: String::new(),
            full: false,
        }
    }

    /// Ends the run; every watcher learns how.
    pub(super) fn finish(self, last: AnswerEvent) {
        self.writer.finish(last);
    }

    /// Stores what was written so far, so that it survives the process. The
    /// end of the run stores everything, so a failure here loses nothing yet.
    async fn checkpoint(&mut self) {
        let now = self.services.clock.now();
        if now.saturating_sub(self.stored_at) < CHECKPOINT {
            return;
        }
        self.stored_at = now;
        let call = Call {
            deadline: Deadline::after(&*self.services.clock, PATIENCE),
            ..self.call
        };
        if let Err(error) = self
            .services
            .messages
            .checkpoint(&call, self.message_id, &self.text)
            .await
        {
            tracing::warn!(name: "run.checkpoint_failed", message = %self.message_id, "{error}");
        }
    }
}

impl AnswerSink for RunSink {
    async fn emit(&mut self, event: AnswerEvent) {
        match &event {
            AnswerEvent::Delta(text) => self.text.push_str(text),
            AnswerEvent::Reset => self.text.clear(),
            _ => {}
        }
        if self.writer.append(event).is_err() {
            self.full = true;
        }
        self.checkpoint().await;
    }

    async fn stopped(&self) -> Stop {
        // An answer that outgrows its log ends like one that is cancelled.
        if self.full {
            return Stop::Cancelled;
        }
        let limit = self.services.config.unwatched();
        let unwatched = async {
            loop {
                match self.writer.unwatched_for() {
                    Some(since) if since >= limit => return,
                    Some(since) => tokio::time::sleep(limit.saturating_sub(since)).await,
                    None => tokio::time::sleep(limit).await,
                }
            }
        };
        tokio::select! {
            () = self.writer.cancelled() => Stop::Cancelled,
            () = self.services.shutdown.cancelled() => Stop::Shutdown,
            () = unwatched => Stop::Cancelled,
        }
    }
}
