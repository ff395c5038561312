//! Watching an answer again: after a reload, in a second tab, after its end.

use crate::{
    Error, Orchestrator,
    event::{AnswerEvent, Failure},
};
use mainstay_domain::{
    Answer, ConversationId, Message, MessageId, MessageRole, MessageStatus, Provenance, RunId,
};
use mainstay_persistence::Call;
use mainstay_realtime::{Read, RunReader};
use std::collections::VecDeque;

/// An answer's events, from a position on.
pub enum Watched {
    /// The run is known to this process: live, or finished a moment ago.
    Run(RunReader<AnswerEvent>),
    /// The stored answer, told as one piece.
    Stored(VecDeque<(u64, AnswerEvent)>),
}

impl Watched {
    /// The next event with its number; `None` after the last.
    pub async fn next(&mut self) -> Option<(u64, AnswerEvent)> {
        match self {
            Self::Stored(events) => events.pop_front(),
            Self::Run(reader) => match reader.next().await? {
                Read::Event { seq, event } => Some((seq, event)),
                Read::Abandoned => Some((
                    reader.position().saturating_add(1),
                    AnswerEvent::Failed(Failure::interrupted()),
                )),
            },
        }
    }
}

impl Orchestrator {
    /// The events of an answer after the one numbered `after`. Once the run is
    /// no longer in memory, its stored answer is told from the beginning,
    /// withdrawing first what the watcher may have seen.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not the caller's or has no answer, and
    /// [`Error::Unavailable`] when it is written by another server.
    pub async fn watch(
        &self,
        call: &Call,
        conversation: ConversationId,
        id: MessageId,
        after: Option<u64>,
    ) -> Result<Watched, Error> {
        let message = self.answer_of(call, conversation, id).await?;
        let key = (call.principal().user_id, RunId::from(id.uuid()));
        if let Some(reader) = self.0.runs.attach(&key, after) {
            return Ok(Watched::Run(reader));
        }
        if message.status == MessageStatus::Streaming {
            return Err(Error::Unavailable {
                what: "the server that writes this answer",
                retry_after: std::time::Duration::from_secs(5),
            });
        }
        Ok(Watched::Stored(retell(message, after.unwrap_or(0))))
    }

    /// Stops an answer; what was written until then is kept. Stopping what has
    /// ended changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not the caller's.
    pub async fn cancel(
        &self,
        call: &Call,
        conversation: ConversationId,
        id: MessageId,
    ) -> Result<(), Error> {
        let key = (call.principal().user_id, RunId::from(id.uuid()));
        if !self.0.runs.cancel(&key) {
            self.answer_of(call, conversation, id).await?;
        }
        Ok(())
    }

    /// Stops a run by its id alone, as sockets do. Whether there was one.
    #[must_use]
    pub fn cancel_run(&self, call: &Call, id: RunId) -> bool {
        self.0.runs.cancel(&(call.principal().user_id, id))
    }

    async fn answer_of(
        &self,
        call: &Call,
        conversation: ConversationId,
        id: MessageId,
    ) -> Result<Message, Error> {
        let message = self.0.messages.find(call, id).await?;
        if message.conversation_id != conversation || message.role != MessageRole::Assistant {
            return Err(Error::NotFound("message"));
        }
        Ok(message)
    }
}

/// A stored answer as events. Their numbers go on from `after`, so that the
/// watcher's position never goes back.
fn retell(message: Message, after: u64) -> VecDeque<(u64, AnswerEvent)> {
    let id = message.id.uuid();
    let mut events = vec![AnswerEvent::Start {
        message_id: id,
        run_id: id,
    }];
    if after > 0 {
        events.push(AnswerEvent::Reset);
    }
    if !message.content.is_empty() {
        events.push(AnswerEvent::Delta(message.content.clone()));
    }
    events.push(AnswerEvent::usage(message.usage, message.cost_usd));
    events.push(match message.status {
        MessageStatus::Interrupted | MessageStatus::Streaming => {
            AnswerEvent::Failed(Failure::interrupted())
        }
        MessageStatus::Failed => AnswerEvent::Failed(Failure::ended()),
        MessageStatus::Complete | MessageStatus::Cancelled => {
            AnswerEvent::Done(Box::new(answer(message)))
        }
    });
    (after + 1..).zip(events).collect()
}

fn answer(message: Message) -> Answer {
    Answer {
        id: message.id.uuid(),
        answer: message.content,
        provenance: message.provenance.unwrap_or(Provenance::Default),
        citations: message.citations,
        persona_ids: message.persona_ids,
        model: message.model,
        usage: message.usage,
        cost_usd: message.cost_usd,
        decisions: message.decisions,
        degraded: message.degraded,
        elapsed_ms: message.elapsed_ms,
    }
}
