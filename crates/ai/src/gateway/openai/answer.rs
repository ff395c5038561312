//! From an answer to chat-completions JSON, whole and streamed.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::Opening;
use crate::dialect::Piece;
use crate::response::{ChatResponse, FinishReason, Usage};

fn finish_reason(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop | FinishReason::StopSequence => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolUse => "tool_calls",
        FinishReason::Refused => "content_filter",
        FinishReason::Other(other) => other,
    }
}

fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total(),
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens + usage.long_cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    })
}

/// A whole answer.
pub(crate) fn answer(answer: &ChatResponse, created: u64) -> Value {
    let calls: Vec<Value> = answer
        .tool_calls
        .iter()
        .map(|call| {
            json!({
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })
        })
        .collect();
    let mut message = json!({"role": "assistant", "content": answer.text, "refusal": null});
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
        if answer.text.is_empty() {
            message["content"] = Value::Null;
        }
    }
    json!({
        "id": answer.upstream_id,
        "object": "chat.completion",
        "created": created,
        "model": answer.model,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish_reason(&answer.finish),
        }],
        "usage": usage(&answer.usage),
    })
}

/// Writes a stream of chunks.
#[derive(Debug)]
pub(crate) struct StreamEncoder {
    opening: Opening,
    id: String,
    role_said: bool,
    /// The place of a tool call in the upstream's list, to its place in ours.
    calls: HashMap<usize, usize>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
}

impl StreamEncoder {
    pub(crate) fn new(opening: Opening) -> Self {
        Self {
            opening,
            id: "chatcmpl-unknown".to_owned(),
            role_said: false,
            calls: HashMap::new(),
            usage: None,
            finish: None,
        }
    }

    pub(crate) fn say(&mut self, piece: &Piece, out: &mut impl Extend<Bytes>) {
        match piece {
            Piece::Id(id) => id.clone_into(&mut self.id),
            Piece::Usage(usage) => self.usage = Some(*usage),
            Piece::Finish(reason) => self.finish = Some(reason.clone()),
            Piece::Text(text) => self.delta(json!({"content": text}), out),
            Piece::ToolStart { index, id, name } => {
                let next = self.calls.len();
                let place = *self.calls.entry(*index).or_insert(next);
                let call = json!({
                    "index": place,
                    "id": id,
                    "type": "function",
                    "function": {"name": name, "arguments": ""},
                });
                self.delta(json!({"tool_calls": [call]}), out);
            }
            Piece::ToolArguments { index, json } => {
                let place = self.calls.get(index).copied().unwrap_or_default();
                let call = json!({"index": place, "function": {"arguments": json}});
                self.delta(json!({"tool_calls": [call]}), out);
            }
            Piece::Done => self.end(out),
        }
    }

    fn delta(&mut self, mut delta: Value, out: &mut impl Extend<Bytes>) {
        if !std::mem::replace(&mut self.role_said, true) {
            delta["role"] = json!("assistant");
        }
        out.extend([self.chunk(&json!([choice(&delta, Value::Null)]), None)]);
    }

    fn end(&mut self, out: &mut impl Extend<Bytes>) {
        let reason = self.finish.take().unwrap_or(FinishReason::Stop);
        let mut delta = json!({});
        if !self.role_said {
            delta["role"] = json!("assistant");
        }
        let last = choice(&delta, json!(finish_reason(&reason)));
        out.extend([self.chunk(&json!([last]), None)]);
        if let Some(used) = self.usage.filter(|_| self.opening.include_usage) {
            out.extend([self.chunk(&json!([]), Some(usage(&used)))]);
        }
        out.extend([Bytes::from_static(b"data: [DONE]\n\n")]);
    }

    fn chunk(&self, choices: &Value, usage: Option<Value>) -> Bytes {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.opening.created,
            "model": self.opening.model,
            "choices": choices,
        });
        if self.opening.include_usage {
            chunk["usage"] = usage.unwrap_or_default();
        }
        Bytes::from(format!("data: {chunk}\n\n"))
    }
}

fn choice(delta: &Value, finish_reason: Value) -> Value {
    json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason})
}
