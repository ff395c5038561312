//! A streamed answer of chat completions.

use serde::Deserialize;

use super::super::{Piece, WireError, garbled};
use super::{WireUsage, finish_reason};
use crate::error::Failure;
use crate::sse::SseEvent;

#[derive(Deserialize)]
struct Chunk {
    id: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<WireUsage>,
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<ToolDelta>>,
}

#[derive(Deserialize)]
struct ToolDelta {
    #[serde(default)]
    index: usize,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

/// Decodes the events of one stream.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    id_told: bool,
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
        if event.data.trim() == "[DONE]" {
            out.extend([Piece::Done]);
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_str(&event.data)
            .map_err(|_| garbled("an event of the stream is not a chunk"))?;
        if let Some(error) = chunk.error {
            return Err(error.into_failure());
        }
        if !self.id_told
            && let Some(id) = chunk.id.filter(|id| !id.is_empty())
        {
            self.id_told = true;
            out.extend([Piece::Id(id)]);
        }
        if let Some(choice) = chunk.choices.into_iter().next() {
            push_choice(choice, out);
        }
        out.extend(chunk.usage.map(|usage| Piece::Usage(usage.canonical())));
        Ok(())
    }
}

fn push_choice(choice: Choice, out: &mut impl Extend<Piece>) {
    let texts = [choice.delta.content, choice.delta.refusal];
    out.extend(
        texts
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
            .map(Piece::Text),
    );
    for call in choice.delta.tool_calls.unwrap_or_default() {
        let (name, arguments) = call
            .function
            .map_or((None, None), |f| (f.name, f.arguments));
        if let Some(id) = call.id.filter(|id| !id.is_empty()) {
            out.extend([Piece::ToolStart {
                index: call.index,
                id,
                name: name.unwrap_or_default(),
            }]);
        }
        out.extend(
            arguments
                .filter(|json| !json.is_empty())
                .map(|json| Piece::ToolArguments {
                    index: call.index,
                    json,
                }),
        );
    }
    out.extend(
        choice
            .finish_reason
            .map(|reason| Piece::Finish(finish_reason(&reason))),
    );
}
