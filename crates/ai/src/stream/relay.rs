//! The state machine between a provider's stream and ours.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::StreamEvent;
use super::tally::Tally;
use crate::client::OnInterruption;
use crate::dialect::Piece;
use crate::error::{AiError, ErrorKind, Failure};
use crate::journey::{Journey, Turn};
use crate::request::ToolCall;
use crate::response::{ChatResponse, FinishReason, Usage};
use crate::transport::LiveStream;

/// A stream that has begun, and the journey that can begin it again.
pub(super) struct Relay {
    journey: Journey,
    /// `None` once the stream is over.
    current: Option<Current>,
    /// Said before the next piece is read.
    pending: VecDeque<StreamEvent>,
}

/// The attempt that is answering.
struct Current {
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
                Ok(Outcome::Done) => return Some(Ok(self.finish(current))),
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

    fn finish(&mut self, current: Current) -> StreamEvent {
        let deployment = Arc::clone(&current.turn.deployment);
        let usage_is_estimate = current.tally.provider_said().is_none();
        let usage: Usage = current
            .tally
            .provider_said()
            .unwrap_or_else(|| current.tally.usage());
        let upstream_id = current.live.upstream_id;
        StreamEvent::Finished(Box::new(ChatResponse {
            cost: self.journey.inner.cost(&deployment.model, &usage),
            attempts: self.journey.answered(
                current.turn,
                usage,
                usage_is_estimate,
                upstream_id.clone(),
            ),
            text: current.text,
            tool_calls: current.tools.into_values().collect(),
            model: deployment.model.clone(),
            requested_model: self.journey.requested_model.clone(),
            provider: deployment.provider.name.clone(),
            deployment: deployment.name.clone(),
            usage,
            usage_is_estimate,
            // `Done` without a reason was a failure before it came here.
            finish: current.finish.unwrap_or(FinishReason::Stop),
            upstream_id,
            time_to_first_token: Some(current.time_to_first_token),
            elapsed: self.journey.elapsed(),
        }))
    }
}

/// Asks until someone begins an answer.
async fn begin(journey: &mut Journey) -> Result<Current, AiError> {
    loop {
        let turn = journey.next().await?;
        match journey
            .attempt(&turn)
            .stream(turn.first_token, turn.total)
            .await
        {
            Ok(live) => {
                journey.begun();
                let time_to_first_token = journey.inner.clock.now().saturating_sub(turn.started);
                turn.deployment.pace.answered_after(time_to_first_token);
                return Ok(Current {
                    tally: Tally::new(&journey.request),
                    turn,
                    live,
                    text: String::new(),
                    tools: BTreeMap::new(),
                    finish: None,
                    time_to_first_token,
                });
            }
            Err(failure) => journey.failed(turn, failure, None)?,
        }
    }
}

impl Current {
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
