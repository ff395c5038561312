//! A run: one answer in a conversation, from its first event to its record.

use super::sink::RunSink;
use crate::{
    Error,
    answering::{Ending, Heard, Produced, Spent},
    event::{AnswerEvent, Failure},
    question::Question,
    services::{RunKey, Services},
    sink::{AnswerSink, Stop},
};
use mainstay_domain::{AgentId, Message, MessageId, MessageStatus, Provenance, UsageId};
use mainstay_persistence::{Call, FinishRun};
use mainstay_realtime::RunWriter;
use mainstay_resilience::Deadline;
use std::{sync::Arc, time::Duration};

/// The longest that a run may take.
const LONGEST: Duration = Duration::from_secs(600);
/// How long storing the end may take before watchers are told that it will be late.
const STORING: Duration = Duration::from_secs(5);

pub(super) struct Run {
    pub(super) services: Arc<Services>,
    pub(super) call: Call,
    pub(super) message_id: MessageId,
    pub(super) usage_id: UsageId,
    pub(super) agent_id: Option<AgentId>,
    pub(super) question: Question,
    pub(super) history: Vec<Message>,
    pub(super) started: Duration,
}

impl Run {
    /// Answers, stores the end and tells it.
    pub(super) async fn answer(mut self, writer: RunWriter<RunKey, AnswerEvent>) {
        // The run outlives the request that began it, and so does its deadline.
        self.call.deadline = Deadline::after(&*self.services.clock, LONGEST);
        let id = self.message_id.uuid();
        let mut sink = RunSink::new(
            writer,
            Arc::clone(&self.services),
            self.call,
            self.message_id,
        );
        sink.emit(AnswerEvent::Start {
            message_id: id,
            run_id: id,
        })
        .await;
        for decision in &self.question.decisions {
            sink.emit(AnswerEvent::Decision(decision.clone())).await;
        }
        let history = std::mem::take(&mut self.history);
        self.services.with_history(&mut self.question, &history);
        let outcome = self.produce(&mut sink).await;
        if let Ok(produced) = &outcome {
            let spent = produced.spent;
            sink.emit(AnswerEvent::usage(spent.tokens, spent.cost))
                .await;
        }
        let last = self.conclude(outcome).await;
        sink.finish(last);
    }

    async fn produce(&self, sink: &mut RunSink) -> Result<Produced, Error> {
        let services = &self.services;
        let mut spent = Spent::NOTHING;
        if services.models.has_models() {
            let question = &self.question;
            let model = services.grant(question)?;
            match services
                .stream_model(&self.call, question, &model, sink)
                .await
            {
                Heard::Answer(mut produced) => {
                    // Nobody but the owner reads a conversation, so it is kept
                    // as its owner sees it.
                    produced.text = question.redactions.restore(&produced.text);
                    return Ok(produced);
                }
                Heard::Failed(error, wasted) => {
                    if let Some(error) = error {
                        tracing::warn!(name: "model.failed", "{error}");
                    }
                    spent = wasted;
                }
            }
        }
        let produced = services
            .answer_without_model(&self.call, &self.question, None, spent)
            .await;
        sink.emit(AnswerEvent::Delta(produced.text.clone())).await;
        Ok(produced)
    }

    /// Stores how the run ended, and puts it into words for its watchers.
    async fn conclude(&self, outcome: Result<Produced, Error>) -> AnswerEvent {
        let end = self.end(&outcome);
        let stored = self.store(&end).await;
        let succeeded = end.status == MessageStatus::Complete;
        if let Some(agent) = self.agent_id {
            self.services.work_done(
                &self.call,
                agent,
                succeeded || end.status == MessageStatus::Cancelled,
            );
        }
        match outcome {
            _ if !stored => AnswerEvent::Failed(Failure::not_stored()),
            Err(error) => AnswerEvent::Failed(Failure::from(&error)),
            Ok(produced) => match produced.ending {
                Ending::Denied => {
                    AnswerEvent::Failed(Failure::from(&Error::Denied(produced.decisions)))
                }
                Ending::Stopped(Stop::Shutdown) => AnswerEvent::Failed(Failure::interrupted()),
                // What was cancelled is whole as far as anybody wanted it.
                Ending::Whole | Ending::Stopped(Stop::Cancelled) => {
                    let elapsed = self.services.elapsed_ms(self.started);
                    AnswerEvent::Done(Box::new(
                        produced.into_answer(self.message_id.uuid(), elapsed),
                    ))
                }
            },
        }
    }

    fn end(&self, outcome: &Result<Produced, Error>) -> FinishRun {
        let (status, produced) = match outcome {
            Ok(produced) => (
                match produced.ending {
                    Ending::Whole => MessageStatus::Complete,
                    Ending::Stopped(Stop::Cancelled) => MessageStatus::Cancelled,
                    Ending::Stopped(Stop::Shutdown) => MessageStatus::Interrupted,
                    Ending::Denied => MessageStatus::Failed,
                },
                Some(produced),
            ),
            Err(_) => (MessageStatus::Failed, None),
        };
        let spent = produced.map_or(Spent::NOTHING, |produced| produced.spent);
        FinishRun {
            message_id: self.message_id,
            usage_id: self.usage_id,
            status,
            content: produced.map(|p| p.text.clone()).unwrap_or_default(),
            provenance: Some(produced.map_or(Provenance::Default, |p| p.provenance)),
            persona_ids: self.question.persona_ids(),
            model: produced.and_then(|p| p.model.clone()),
            citations: produced.map(|p| p.citations.clone()).unwrap_or_default(),
            usage: spent.tokens,
            cost_usd: spent.cost,
            decisions: produced
                .map_or_else(|| self.question.decisions.clone(), |p| p.decisions.clone()),
            degraded: produced.is_some_and(|p| p.degraded),
            elapsed: self.services.clock.now().saturating_sub(self.started),
        }
    }

    /// Whether the end is stored; when the database is away, it is stored later.
    async fn store(&self, end: &FinishRun) -> bool {
        let call = Call {
            deadline: Deadline::after(&*self.services.clock, STORING),
            ..self.call
        };
        match self.services.messages.finish(&call, end).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(name: "run.not_stored_yet", message = %self.message_id, "{error}");
                let end = end.clone();
                self.services
                    .write_later(self.call, "run", move |services, call| {
                        let end = end.clone();
                        async move { services.messages.finish(&call, &end).await }
                    });
                false
            }
        }
    }
}
