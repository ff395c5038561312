//! OpenAI Responses, as an upstream.

mod decode;
mod encode;
mod stream;

pub(super) use decode::decode_answer;
pub(super) use encode::encode;
pub(crate) use stream::StreamDecoder;

use serde::Deserialize;

use super::{Answer, WireError, garbled};
use crate::error::Failure;
use crate::request::ToolCall;
use crate::response::{FinishReason, Usage};

/// A response, whole or as the last event of a stream carries it.
#[derive(Debug, Deserialize)]
struct WireResponse {
    id: Option<String>,
    status: Option<String>,
    #[serde(default)]
    output: Vec<Item>,
    usage: Option<WireUsage>,
    error: Option<WireError>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Debug, Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item {
    Message {
        #[serde(default)]
        content: Vec<Part>,
    },
    FunctionCall {
        call_id: String,
        name: String,
        #[serde(default)]
        arguments: String,
    },
    /// Reasoning and the provider's own tools: no part of the text.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    OutputText {
        text: String,
    },
    Refusal {
        refusal: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct WireUsage {
    input_tokens: u64,
    output_tokens: u64,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl WireUsage {
    fn canonical(&self) -> Usage {
        let input = self.input_tokens_details.unwrap_or_default();
        Usage {
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cached_input_tokens: input.cached_tokens.unwrap_or(0),
            cache_write_tokens: input.cache_write_tokens.unwrap_or(0),
            long_cache_write_tokens: 0,
            reasoning_tokens: self
                .output_tokens_details
                .unwrap_or_default()
                .reasoning_tokens
                .unwrap_or(0),
        }
    }
}

impl WireResponse {
    /// Why a finished response ended; a failed one is a failure.
    fn finish(&mut self) -> Result<FinishReason, Failure> {
        if let Some(error) = self.error.take() {
            return Err(error.into_failure());
        }
        let calls = self
            .output
            .iter()
            .any(|item| matches!(item, Item::FunctionCall { .. }));
        let refused = self.output.iter().any(|item| match item {
            Item::Message { content } => content
                .iter()
                .any(|part| matches!(part, Part::Refusal { .. })),
            _ => false,
        });
        let incomplete = self
            .incomplete_details
            .take()
            .and_then(|details| details.reason);
        match (self.status.as_deref(), incomplete.as_deref()) {
            (Some("completed"), _) if calls => Ok(FinishReason::ToolUse),
            (Some("completed"), _) if refused => Ok(FinishReason::Refused),
            (Some("completed"), _) => Ok(FinishReason::Stop),
            (Some("incomplete"), Some("max_output_tokens")) => Ok(FinishReason::Length),
            (Some("incomplete"), Some("content_filter")) => Ok(FinishReason::Refused),
            (Some("incomplete"), Some(other)) => Ok(FinishReason::Other(other.to_owned())),
            _ => Err(garbled("the response is neither completed nor incomplete")),
        }
    }

    fn into_answer(mut self) -> Result<Answer, Failure> {
        let finish = self.finish()?;
        let mut answer = Answer {
            id: self.id,
            text: String::new(),
            tool_calls: Vec::new(),
            finish,
            usage: self.usage.map(|usage| usage.canonical()),
        };
        for item in self.output {
            match item {
                Item::Message { content } => content.into_iter().for_each(|part| match part {
                    Part::OutputText { text } => answer.text.push_str(&text),
                    Part::Refusal { refusal } => answer.text.push_str(&refusal),
                    Part::Other => {}
                }),
                Item::FunctionCall {
                    call_id,
                    name,
                    arguments,
                } => answer.tool_calls.push(ToolCall {
                    id: call_id,
                    name,
                    arguments,
                }),
                Item::Other => {}
            }
        }
        Ok(answer)
    }
}
