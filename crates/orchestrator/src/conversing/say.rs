//! Saying something in a conversation, which starts the run that answers.

use super::run::Run;
use crate::{Error, Orchestrator, event::AnswerEvent, question::Ask};
use mainstay_domain::{ConversationId, Message, MessageId, PersonaId, Prompt, RunId, UsageId, Usd};
use mainstay_persistence::{BeginRun, Call};
use mainstay_realtime::{RunReader, StartError};
use std::{sync::Arc, time::Duration};

/// Something said in a conversation.
#[derive(Debug, Clone)]
pub struct Saying {
    /// The text.
    pub content: Prompt,
    /// The persona that answers, instead of the conversation's own.
    pub persona_id: Option<PersonaId>,
    /// The most that the answer may cost, below the workspace's own ceiling.
    pub max_cost: Option<Usd>,
    /// The W3C trace that it belongs to, handed on to the model's provider.
    pub traceparent: Option<String>,
}

/// A run that answers.
pub struct Said {
    /// What was said, as it is stored.
    pub question: Message,
    /// The answer's message, still empty.
    pub answer: Message,
    /// The run's id.
    pub run_id: RunId,
    /// The run's events, from the first.
    pub events: RunReader<AnswerEvent>,
}

impl Orchestrator {
    /// Stores what was said and starts the run that answers it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the conversation is not the caller's, and as
    /// [`Orchestrator::execute`]; away models are no error.
    pub async fn say(
        &self,
        call: &Call,
        id: ConversationId,
        saying: &Saying,
    ) -> Result<Said, Error> {
        let conversation = self.0.conversations.find(call, id).await?;
        if let Some(agent) = conversation.agent_id {
            return self.instruct(call, agent, saying).await;
        }
        let persona_id = saying.persona_id.or(conversation.persona_id);
        self.begin_run(call, id, persona_id, saying, None).await
    }

    pub(crate) async fn begin_run(
        &self,
        call: &Call,
        conversation_id: ConversationId,
        persona_id: Option<PersonaId>,
        saying: &Saying,
        agent_id: Option<mainstay_domain::AgentId>,
    ) -> Result<Said, Error> {
        let services = &self.0;
        let started = services.clock.now();
        let message_id = MessageId::at(services.now());
        // One run writes one message, so they share their id.
        let run_id = RunId::from(message_id.uuid());
        let usage_id = UsageId::at(services.now());
        let ask = Ask {
            prompt: saying.content.clone(),
            persona_ids: persona_id.into_iter().collect(),
            context: None,
            use_cache: false,
            max_cost: saying.max_cost,
            traceparent: saying.traceparent.clone(),
        };
        let question = services.prepare(call, &ask, message_id.uuid()).await?;
        let begin = BeginRun {
            conversation_id,
            message_id,
            run_id,
            usage_id,
            instance_id: services.instance_id,
            content: saying.content.as_str().to_owned(),
            persona_ids: question.persona_ids(),
            model: Some(question.request.model.clone()).filter(|model| !model.is_empty()),
            reserved: if services.models.has_models() {
                question.ceiling
            } else {
                Usd::ZERO
            },
            context_limit: services.config.history_messages,
        };
        // The writer is taken first: a run that cannot be watched is not begun.
        let writer = services
            .runs
            .start((call.principal().user_id, run_id))
            .map_err(too_many)?;
        let events = writer.reader();
        let begun = services.messages.begin(call, &begin).await?;
        let run = Run {
            services: Arc::clone(services),
            call: *call,
            message_id,
            usage_id,
            agent_id,
            question,
            history: begun.context,
            started,
        };
        services
            .tasks
            .spawn_on(run.answer(writer), &services.runtime);
        Ok(Said {
            question: begun.question,
            answer: begun.answer,
            run_id,
            events,
        })
    }
}

fn too_many(error: StartError) -> Error {
    match error {
        StartError::TooMany => Error::Overloaded {
            retry_after: Duration::from_secs(5),
        },
        StartError::Known => Error::internal(error),
    }
}
