//! An answer as it is made, shown piece by piece.

use super::{Ending, Produced, Spent};
use crate::{
    event::AnswerEvent,
    model::{BudgetedModel, tokens},
    question::Question,
    services::Services,
    sink::{AnswerSink, Stop},
};
use mainstay_ai::{AiError, ChatResponse, ChatStream, StreamEvent};
use mainstay_domain::{Decision, Provenance, Verdict};
use mainstay_governance::{Policy, Redactions, Restorer, StreamGuard};
use mainstay_persistence::Call;
use mainstay_resilience::Deadline;

/// How listening to a model ended, and what it cost.
pub(crate) enum Heard {
    /// The model finished, or was not let finish; governance has read it all.
    Answer(Produced),
    /// No model could finish; what was shown is withdrawn.
    Failed(Option<AiError>, Spent),
}

impl Services {
    /// Lets the model answer into `sink`; governance reads every piece before it is shown.
    pub(crate) async fn stream_model<S: AnswerSink>(
        &self,
        call: &Call,
        question: &Question,
        model: &BudgetedModel<'_>,
        sink: &mut S,
    ) -> Heard {
        let policy = Policy::from(&question.workspace);
        let mut shown = Shown::new(&policy, &question.redactions, sink);
        let deadline = self.model_deadline(call.deadline);
        let mut produced = Produced {
            text: String::new(),
            ending: Ending::Whole,
            provenance: Provenance::Model,
            citations: Vec::new(),
            persona_ids: question.persona_ids(),
            model: None,
            spent: Spent::NOTHING,
            decisions: question.decisions.clone(),
            degraded: false,
        };
        match self.listen(model, deadline, &mut shown).await {
            Listened::Finished(response) => {
                produced.spent = self.spent_on(model, &response.attempts);
                produced.model = Some(response.model);
            }
            Listened::Stopped(stop, spent, name) => {
                produced.ending = Ending::Stopped(stop);
                produced.spent = spent;
                produced.model = name;
            }
            Listened::Failed(error) => {
                shown.withdraw().await;
                let attempts = error.as_ref().map_or(&[][..], AiError::attempts);
                let spent = self.spent_on(model, attempts);
                return Heard::Failed(error, spent);
            }
        }
        let (text, decisions, verdict) = shown.close(self.now()).await;
        produced.text = text;
        produced.decisions.extend(decisions);
        if verdict == Verdict::Deny {
            produced.text.clear();
            produced.ending = Ending::Denied;
        }
        Heard::Answer(produced)
    }

    async fn listen<S: AnswerSink>(
        &self,
        model: &BudgetedModel<'_>,
        deadline: Deadline,
        shown: &mut Shown<'_, S>,
    ) -> Listened {
        let opened = tokio::select! {
            biased;
            stop = shown.sink.stopped() => return Listened::Stopped(stop, Spent::NOTHING, None),
            opened = model.stream(deadline) => opened,
        };
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => return Listened::Failed(Some(error)),
        };
        let mut name = None;
        loop {
            let event = tokio::select! {
                biased;
                stop = shown.sink.stopped() => {
                    let spent = self.spent_so_far(model, &stream, name.as_deref());
                    return Listened::Stopped(stop, spent, name);
                }
                event = stream.next() => event,
            };
            match event {
                Some(Ok(StreamEvent::Started { model, .. })) => name = Some(model),
                Some(Ok(StreamEvent::Delta(text))) => shown.push(&text).await,
                Some(Ok(StreamEvent::Reset)) => shown.withdraw().await,
                Some(Ok(StreamEvent::Finished(response))) => {
                    return Listened::Finished(response);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Listened::Failed(Some(error)),
                None => return Listened::Failed(None),
            }
        }
    }
}

impl Services {
    /// What an unfinished stream has used: its provider bills it all the same.
    fn spent_so_far(
        &self,
        model: &BudgetedModel<'_>,
        stream: &ChatStream,
        name: Option<&str>,
    ) -> Spent {
        let usage = stream.usage_so_far();
        let tokens = tokens(&usage);
        if let Some(name) = name {
            self.used.hear(name, tokens);
        }
        Spent {
            tokens,
            cost: name.and_then(|name| model.cost(name, &usage)),
        }
    }
}

enum Listened {
    Finished(Box<ChatResponse>),
    Stopped(Stop, Spent, Option<String>),
    /// Without an error when a stream ended without saying why.
    Failed(Option<AiError>),
}

/// What has been let through so far.
struct Shown<'a, S> {
    policy: &'a Policy,
    redactions: &'a Redactions,
    guard: StreamGuard,
    /// Puts back what the asker wrote, for the asker's eyes.
    restorer: Restorer,
    sink: &'a mut S,
    /// As it is stored, with placeholders.
    text: String,
}

impl<'a, S: AnswerSink> Shown<'a, S> {
    fn new(policy: &'a Policy, redactions: &'a Redactions, sink: &'a mut S) -> Self {
        Self {
            policy,
            redactions,
            guard: StreamGuard::answering(policy, redactions),
            restorer: Restorer::new(redactions),
            sink,
            text: String::new(),
        }
    }

    async fn push(&mut self, piece: &str) {
        let safe = self.guard.push(piece);
        self.show(safe).await;
    }

    async fn show(&mut self, safe: String) {
        if !safe.is_empty() {
            self.text.push_str(&safe);
            let restored = self.restorer.push(&safe);
            self.tell(restored).await;
        }
    }

    async fn tell(&mut self, text: String) {
        if !text.is_empty() {
            self.sink.emit(AnswerEvent::Delta(text)).await;
        }
    }

    /// Takes back what was shown; the answer begins again or is replaced.
    async fn withdraw(&mut self) {
        self.guard = StreamGuard::answering(self.policy, self.redactions);
        self.restorer = Restorer::new(self.redactions);
        if !self.text.is_empty() {
            self.text.clear();
            self.sink.emit(AnswerEvent::Reset).await;
        }
    }

    /// Shows what the guard still held and lets governance judge the whole.
    async fn close(mut self, now: jiff::Timestamp) -> (String, Vec<Decision>, Verdict) {
        let fresh = StreamGuard::answering(self.policy, self.redactions);
        let guard = std::mem::replace(&mut self.guard, fresh);
        let (rest, decisions) = guard.finish(now);
        let verdict = decisions
            .iter()
            .map(|d| d.verdict)
            .max()
            .unwrap_or(Verdict::Allow);
        if verdict == Verdict::Deny {
            self.withdraw().await;
        } else {
            self.show(rest).await;
            let fresh = Restorer::new(self.redactions);
            let held = std::mem::replace(&mut self.restorer, fresh).finish();
            self.tell(held).await;
        }
        for decision in &decisions {
            self.sink
                .emit(AnswerEvent::Decision(decision.clone()))
                .await;
        }
        (self.text, decisions, verdict)
    }
}
