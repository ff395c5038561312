//! A streamed answer of Anthropic Messages.

use serde::Deserialize;

use super::super::{Piece, WireError, garbled};
use super::{WireUsage, finish_reason};
use crate::error::Failure;
use crate::sse::SseEvent;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Frame {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: usize,
        content_block: Block,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta,
    },
    MessageDelta {
        delta: End,
        usage: Option<WireUsage>,
    },
    MessageStop,
    Error {
        error: WireError,
    },
    /// `ping`, `content_block_stop`, and events that are yet to be invented.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    id: Option<String>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    ToolUse {
        id: String,
        name: String,
    },
    Text {
        #[serde(default)]
        text: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct End {
    stop_reason: Option<String>,
}

/// Decodes the events of one stream.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    usage: WireUsage,
}

impl StreamDecoder {
    pub(crate) fn accept(
        &mut self,
        event: &SseEvent,
        out: &mut impl Extend<Piece>,
    ) -> Result<(), Failure> {
        if event.data.is_empty() {
            return Ok(());
        }
        let frame = serde_json::from_str(&event.data)
            .map_err(|_| garbled("an event of the stream is not JSON of its kind"))?;
        match frame {
            Frame::MessageStart { message } => {
                out.extend(message.id.map(Piece::Id));
                self.used(message.usage, out);
            }
            Frame::ContentBlockStart {
                index,
                content_block,
            } => match content_block {
                Block::ToolUse { id, name } => out.extend([Piece::ToolStart { index, id, name }]),
                Block::Text { text } => out.extend((!text.is_empty()).then_some(Piece::Text(text))),
                Block::Other => {}
            },
            Frame::ContentBlockDelta { index, delta } => match delta {
                Delta::Text { text } => out.extend([Piece::Text(text)]),
                Delta::InputJson { partial_json } => out.extend([Piece::ToolArguments {
                    index,
                    json: partial_json,
                }]),
                Delta::Other => {}
            },
            Frame::MessageDelta { delta, usage } => {
                self.used(usage, out);
                out.extend(
                    delta
                        .stop_reason
                        .map(|reason| Piece::Finish(finish_reason(&reason))),
                );
            }
            Frame::MessageStop => out.extend([Piece::Done]),
            Frame::Error { error } => return Err(error.into_failure()),
            Frame::Other => {}
        }
        Ok(())
    }

    fn used(&mut self, usage: Option<WireUsage>, out: &mut impl Extend<Piece>) {
        let Some(newer) = usage else { return };
        let before = self.usage;
        self.usage.merge(newer);
        if self.usage != before {
            out.extend([Piece::Usage(self.usage.canonical())]);
        }
    }
}
