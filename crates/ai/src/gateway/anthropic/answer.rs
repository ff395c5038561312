//! From an answer to Messages JSON, whole and streamed.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::Opening;
use crate::dialect::Piece;
use crate::response::{ChatResponse, FinishReason, Usage};

fn stop_reason(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop => "end_turn",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolUse => "tool_use",
        FinishReason::Refused => "refusal",
        FinishReason::Other(other) => other,
    }
}

/// This dialect counts cached tokens beside the others.
fn usage(usage: &Usage) -> Value {
    let written = usage
        .cache_write_tokens
        .saturating_add(usage.long_cache_write_tokens);
    let special = written.saturating_add(usage.cached_input_tokens);
    json!({
        "input_tokens": usage.input_tokens.saturating_sub(special),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    })
}

/// A whole answer.
pub(crate) fn answer(answer: &ChatResponse) -> Value {
    let mut content = Vec::new();
    if !answer.text.is_empty() {
        content.push(json!({"type": "text", "text": answer.text}));
    }
    for call in &answer.tool_calls {
        // What a model wrote as arguments need not be JSON; this dialect has
        // no place for what is not.
        let input: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        content.push(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input}));
    }
    json!({
        "id": answer.upstream_id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": stop_reason(&answer.finish),
        "stop_sequence": null,
        "usage": usage(&answer.usage),
    })
}

/// The content block that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    /// The tool call at this place of the upstream's list.
    Tool(usize),
}

/// Writes a stream of events.
#[derive(Debug)]
pub(crate) struct StreamEncoder {
    opening: Opening,
    id: String,
    started: bool,
    open: Option<Block>,
    blocks: usize,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
}

impl StreamEncoder {
    pub(crate) fn new(opening: Opening) -> Self {
        Self {
            opening,
            id: "msg_unknown".to_owned(),
            started: false,
            open: None,
            blocks: 0,
            usage: None,
            finish: None,
        }
    }

    pub(crate) fn say(&mut self, piece: &Piece, out: &mut impl Extend<Bytes>) {
        match piece {
            Piece::Id(id) => id.clone_into(&mut self.id),
            Piece::Usage(usage) => self.usage = Some(*usage),
            Piece::Finish(reason) => self.finish = Some(reason.clone()),
            Piece::Text(text) => {
                self.enter(Block::Text, &json!({"type": "text", "text": ""}), out);
                self.delta(json!({"type": "text_delta", "text": text}), out);
            }
            Piece::ToolStart { index, id, name } => {
                let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                self.enter(Block::Tool(*index), &block, out);
            }
            Piece::ToolArguments { index, json } if self.open == Some(Block::Tool(*index)) => {
                self.delta(
                    json!({"type": "input_json_delta", "partial_json": json}),
                    out,
                );
            }
            // Blocks of this dialect follow each other: what belongs to one
            // that is closed has no place. No known server interleaves.
            Piece::ToolArguments { .. } => {}
            Piece::Done => self.end(out),
        }
    }

    fn start(&mut self, out: &mut impl Extend<Bytes>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let used = self.usage.unwrap_or(Usage {
            input_tokens: self.opening.input_tokens,
            ..Usage::default()
        });
        let message = json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.opening.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage(&used),
        });
        out.extend([event("message_start", json!({"message": message}))]);
    }

    fn enter(&mut self, block: Block, first: &Value, out: &mut impl Extend<Bytes>) {
        self.start(out);
        if self.open == Some(block) {
            return;
        }
        self.leave(out);
        self.open = Some(block);
        out.extend([event(
            "content_block_start",
            json!({"index": self.blocks, "content_block": first}),
        )]);
    }

    fn leave(&mut self, out: &mut impl Extend<Bytes>) {
        if self.open.take().is_some() {
            out.extend([event("content_block_stop", json!({"index": self.blocks}))]);
            self.blocks += 1;
        }
    }

    fn delta(&self, delta: Value, out: &mut impl Extend<Bytes>) {
        out.extend([event(
            "content_block_delta",
            json!({"index": self.blocks, "delta": delta}),
        )]);
    }

    fn end(&mut self, out: &mut impl Extend<Bytes>) {
        self.start(out);
        self.leave(out);
        let reason = self.finish.take().unwrap_or(FinishReason::Stop);
        let mut last =
            json!({"delta": {"stop_reason": stop_reason(&reason), "stop_sequence": null}});
        last["usage"] = usage(&self.usage.unwrap_or_default());
        out.extend([
            event("message_delta", last),
            event("message_stop", json!({})),
        ]);
    }
}

fn event(name: &str, mut data: Value) -> Bytes {
    data["type"] = json!(name);
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
