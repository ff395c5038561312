//! A streamed answer of Responses.

use serde::Deserialize;

use super::super::{Piece, WireError, garbled};
use super::{Item, WireResponse};
use crate::error::Failure;
use crate::sse::SseEvent;

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Frame {
    #[serde(rename = "response.created")]
    Created { response: WireResponse },
    #[serde(rename = "response.output_text.delta")]
    Text { delta: String },
    #[serde(rename = "response.refusal.delta")]
    Refusal { delta: String },
    #[serde(rename = "response.output_item.added")]
    ItemAdded { output_index: usize, item: Item },
    #[serde(rename = "response.function_call_arguments.delta")]
    Arguments { output_index: usize, delta: String },
    /// The end mark, with everything once more.
    #[serde(
        rename = "response.completed",
        alias = "response.incomplete",
        alias = "response.failed"
    )]
    End { response: WireResponse },
    #[serde(rename = "error")]
    Error {
        code: Option<serde_json::Value>,
        message: Option<Box<str>>,
        /// Some servers nest it as in the other dialects.
        error: Option<WireError>,
    },
    #[serde(other)]
    Other,
}

/// Decodes the events of one stream.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder;

impl StreamDecoder {
    pub(crate) fn accept(
        &mut self,
        event: &SseEvent,
        out: &mut impl Extend<Piece>,
    ) -> Result<(), Failure> {
        // Imitators add chat completions' end mark; here it means nothing.
        if event.data.is_empty() || event.data == "[DONE]" {
            return Ok(());
        }
        let frame = serde_json::from_str(&event.data)
            .map_err(|_| garbled("an event of the stream is not JSON of its kind"))?;
        match frame {
            Frame::Created { response } => out.extend(response.id.map(Piece::Id)),
            Frame::Text { delta } | Frame::Refusal { delta } => {
                out.extend((!delta.is_empty()).then_some(Piece::Text(delta)));
            }
            Frame::ItemAdded {
                output_index: index,
                item: Item::FunctionCall { call_id, name, .. },
            } => out.extend([Piece::ToolStart {
                index,
                id: call_id,
                name,
            }]),
            Frame::Arguments {
                output_index,
                delta,
            } => out.extend((!delta.is_empty()).then_some(Piece::ToolArguments {
                index: output_index,
                json: delta,
            })),
            Frame::End { mut response } => {
                let usage = response.usage.map(|usage| usage.canonical());
                let finish = response.finish()?;
                out.extend(usage.map(Piece::Usage));
                out.extend([Piece::Finish(finish), Piece::Done]);
            }
            Frame::Error {
                code,
                message,
                error,
            } => {
                let nested = error.unwrap_or(WireError {
                    kind: code
                        .as_ref()
                        .and_then(|code| code.as_str().map(str::to_owned)),
                    code,
                    message,
                });
                return Err(nested.into_failure());
            }
            Frame::ItemAdded { .. } | Frame::Other => {}
        }
        Ok(())
    }
}
