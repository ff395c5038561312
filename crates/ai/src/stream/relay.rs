//! The state machine between a provider's stream and ours.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::StreamEvent;
use super::tally::Tally;
use crate::client::OnInterruption;
use crate::dialect::{Piece, Wire};
use crate::error::{AiError, ErrorKind, Failure};
use crate::hedge;
use crate::journey::{Journey, Turn};
use crate::request::ToolCall;
use crate::response::{ChatResponse, FinishReason, Usage};
use crate::transport::{Frame, LiveStream};

/// A stream that has begun, and the journey that can begin it again.
pub(super) struct Relay {
    journey: Journey,
    /// `None` once the stream is over.
    current: Option<Current>,
    /// Said before the next piece is read.
    pending: VecDeque<StreamEvent>,
}

/// The attempt that is answering, and what it has said.
pub(crate) struct Current {
    turn: Turn,
    live: LiveStream,
    tally: Tally,
    text: String,
    tools: BTreeMap<usize, ToolCall>,
    finish: Option<FinishReason>,
    time_to_first_token: Duration,
}

/// What a piece leads to.
enum Outcome {
    Say(StreamEvent),
    Nothing,
    Done,
}

impl Relay {
    /// Finds someone who begins an answer.
    pub(super) async fn open(mut journey: Journey) -> Result<Self, AiError> {
        let current = begin(&mut journey).await?;
        let mut relay = Self {
            journey,
            current: None,
            pending: VecDeque::new(),
        };
        relay.install(current);
        Ok(relay)
    }

    fn install(&mut self, current: Current) {
        let deployment = &current.turn.deployment;
        self.pending.push_back(StreamEvent::Started {
            model: deployment.model.clone(),
            provider: deployment.provider.name.clone(),
        });
        self.current = Some(current);
    }

    /// The next event; `None` when the stream is over.
    pub(super) async fn next(&mut self) -> Option<Result<StreamEvent, AiError>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(Ok(event));
            }
            let mut current = self.current.take()?;
            let limit = self.journey.inner.config.limits.streamed_text_bytes;
            let outcome = match current.live.next().await {
                Ok(piece) => current.take(piece, limit),
                Err(failure) => Err(failure),
            };
            match outcome {
                Ok(Outcome::Say(event)) => {
                    self.current = Some(current);
                    return Some(Ok(event));
                }
                Ok(Outcome::Nothing) => self.current = Some(current),
                Ok(Outcome::Done) => {
                    let response = current.into_response(&mut self.journey);
                    return Some(Ok(StreamEvent::Finished(Box::new(response))));
                }
                Err(failure) => {
                    if let Err(error) = self.interrupted(current, failure).await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// The provider failed within its answer: begin again, or say so.
    async fn interrupted(&mut self, current: Current, failure: Failure) -> Result<(), AiError> {
        let usage = current.tally.usage();
        self.journey
            .failed(current.turn, failure, Some(usage))
            .map_err(AiError::truncating)?;
        if self.journey.options.on_interruption == OnInterruption::Fail {
            return Err(self.journey.give_up().truncating());
        }
        let current = begin(&mut self.journey)
            .await
            .map_err(AiError::truncating)?;
        self.pending.push_back(StreamEvent::Reset);
        self.install(current);
        Ok(())
    }
}

/// Asks until someone begins an answer.
pub(crate) async fn begin(journey: &mut Journey) -> Result<Current, AiError> {
    let (turn, live) = hedge::ask(journey, |attempt, turn| {
        let (first_token, total) = (turn.first_token, turn.total);
        async move { attempt.stream(first_token, total).await }
    })
    .await?;
    journey.begun();
    let time_to_first_token = journey.inner.clock.now().saturating_sub(turn.started);
    turn.deployment.pace.answered_after(time_to_first_token);
    Ok(Current {
        tally: Tally::new(journey.question.estimate_input_tokens()),
        turn,
        live,
        text: String::new(),
        tools: BTreeMap::new(),
        finish: None,
        time_to_first_token,
    })
}

impl Current {
    /// The wire format of the deployment that answers.
    pub(crate) fn wire(&self) -> Wire {
        self.turn.deployment.provider.wire
    }

    /// The provider's own id of the model that answers.
    pub(crate) fn model(&self) -> &str {
        &self.turn.deployment.model
    }

    /// What a caller of the same dialect is told of the answer.
    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.live.headers
    }

    pub(crate) fn usage_so_far(&self) -> Usage {
        self.tally.usage()
    }

    pub(crate) async fn next_frame(&mut self) -> Result<Frame, Failure> {
        self.live.next_frame().await
    }

    pub(crate) fn into_turn(self) -> Turn {
        self.turn
    }

    /// Takes all pieces of a frame; true when the answer is whole.
    pub(crate) fn take_all(&mut self, pieces: &[Piece], limit: usize) -> Result<bool, Failure> {
        for piece in pieces {
            if let Outcome::Done = self.take(piece.clone(), limit)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the caller gets of an answer that is whole.
    pub(crate) fn into_response(self, journey: &mut Journey) -> ChatResponse {
        let deployment = Arc::clone(&self.turn.deployment);
        let said = self.tally.provider_said();
        let usage = said.unwrap_or_else(|| self.tally.usage());
        let upstream_id = self.live.upstream_id;
        ChatResponse {
            cost: journey.inner.cost(&deployment.model, &usage),
            attempts: journey.answered(self.turn, usage, said.is_none(), upstream_id.clone()),
            text: self.text,
            tool_calls: self.tools.into_values().collect(),
            model: deployment.model.clone(),
            requested_model: journey.requested_model.clone(),
            provider: deployment.provider.name.clone(),
            deployment: deployment.name.clone(),
            usage,
            usage_is_estimate: said.is_none(),
            // `Done` without a reason was a failure before it came here.
            finish: self.finish.unwrap_or(FinishReason::Stop),
            upstream_id,
            time_to_first_token: Some(self.time_to_first_token),
            elapsed: journey.elapsed(),
        }
    }

    fn take(&mut self, piece: Piece, limit: usize) -> Result<Outcome, Failure> {
        Ok(match piece {
            Piece::Id(id) => {
                self.live.upstream_id = Some(id);
                Outcome::Nothing
            }
            Piece::Text(text) => {
                if self.text.len() + text.len() > limit {
                    return Err(Failure::new(
                        ErrorKind::TooLarge,
                        format!("more than {limit} bytes of text"),
                    ));
                }
                self.tally.text(&text);
                self.text.push_str(&text);
                Outcome::Say(StreamEvent::Delta(text))
            }
            Piece::ToolStart { index, id, name } => {
                let call = ToolCall {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                };
                // Said twice it is still one call.
                self.tools.entry(index).or_insert(call);
                Outcome::Say(StreamEvent::ToolCallDelta {
                    index,
                    id: Some(id),
                    name: Some(name),
                    arguments: String::new(),
                })
            }
            Piece::ToolArguments { index, json } => {
                let Some(call) = self.tools.get_mut(&index) else {
                    return Err(Failure::new(
                        ErrorKind::Garbled,
                        "arguments of a tool call that never began",
                    ));
                };
                if call.arguments.len() + json.len() > limit {
                    return Err(Failure::new(
                        ErrorKind::TooLarge,
                        format!("more than {limit} bytes of arguments"),
                    ));
                }
                self.tally.text(&json);
                call.arguments.push_str(&json);
                Outcome::Say(StreamEvent::ToolCallDelta {
                    index,
                    id: None,
                    name: None,
                    arguments: json,
                })
            }
            Piece::Usage(usage) => {
                self.tally.said(usage);
                Outcome::Say(StreamEvent::Usage(usage))
            }
            Piece::Finish(reason) => {
                self.finish = Some(reason);
                Outcome::Nothing
            }
            Piece::Done if self.finish.is_none() => {
                let detail = "the end mark came without a reason to end";
                return Err(Failure::new(ErrorKind::Truncated, detail));
            }
            Piece::Done => Outcome::Done,
        })
    }
}
