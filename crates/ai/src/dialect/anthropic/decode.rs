//! A whole answer of Anthropic Messages.

use serde::Deserialize;

use super::super::{Answer, garbled};
use super::{WireUsage, finish_reason};
use crate::error::Failure;
use crate::request::ToolCall;

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    content: Vec<Block>,
    stop_reason: Option<String>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: serde_json::Value,
    },
    /// Thinking, server tools, and whatever comes next: no part of the text.
    #[serde(other)]
    Other,
}

pub(crate) fn decode_answer(body: &[u8]) -> Result<Answer, Failure> {
    let body: Body =
        serde_json::from_slice(body).map_err(|_| garbled("the body is not a message"))?;
    if body.kind != "message" {
        return Err(garbled("the body is not a message"));
    }
    let Some(reason) = body.stop_reason else {
        return Err(garbled("the message has no stop reason"));
    };
    let mut answer = Answer {
        id: body.id,
        text: String::new(),
        tool_calls: Vec::new(),
        finish: finish_reason(&reason),
        usage: body.usage.map(|usage| usage.canonical()),
    };
    for block in body.content {
        match block {
            Block::Text { text } => answer.text.push_str(&text),
            Block::ToolUse { id, name, input } => answer.tool_calls.push(ToolCall {
                id,
                name,
                arguments: input.to_string(),
            }),
            Block::Other => {}
        }
    }
    Ok(answer)
}
