//! A whole answer of chat completions.

use serde::Deserialize;

use super::super::{Answer, ErrorBody, garbled};
use super::{WireUsage, finish_reason};
use crate::error::Failure;
use crate::request::ToolCall;

#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    choices: Vec<Choice>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct Choice {
    message: WireMessage,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct WireMessage {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<WireToolCall>>,
}

#[derive(Deserialize)]
struct WireToolCall {
    id: String,
    function: CalledFunction,
}

#[derive(Deserialize)]
struct CalledFunction {
    name: String,
    arguments: String,
}

pub(crate) fn decode_answer(body: &[u8]) -> Result<Answer, Failure> {
    let Ok(parsed) = serde_json::from_slice::<Body>(body) else {
        // Some servers answer 200 with an error object in the body.
        return Err(serde_json::from_slice::<ErrorBody>(body).map_or_else(
            |_| garbled("the body is not a chat completion"),
            |body| body.error.into_failure(),
        ));
    };
    let Some(choice) = parsed.choices.into_iter().next() else {
        return Err(garbled("the chat completion has no choice"));
    };
    let Some(reason) = choice.finish_reason else {
        return Err(garbled("the choice has no finish reason"));
    };
    let message = choice.message;
    Ok(Answer {
        id: parsed.id,
        text: message.content.or(message.refusal).unwrap_or_default(),
        tool_calls: message
            .tool_calls
            .unwrap_or_default()
            .into_iter()
            .map(|call| ToolCall {
                id: call.id,
                name: call.function.name,
                arguments: call.function.arguments,
            })
            .collect(),
        finish: finish_reason(&reason),
        usage: parsed.usage.map(|usage| usage.canonical()),
    })
}
