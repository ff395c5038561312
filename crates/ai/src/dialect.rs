//! The wire formats, each as pure functions over bytes.
//!
//! A dialect encodes a [`ChatRequest`], decodes a whole answer, decodes a
//! stream of events into [`Piece`]s and reads an error body. It does no IO and
//! keeps no time. What a dialect cannot express is left out of the request by
//! the rules in the crate's README, never sent in a form it would misread.

mod anthropic;
mod openai;
mod responses;

use serde::Deserialize;

use crate::config::{MaxTokensField, ProviderKind};
use crate::error::{ErrorKind, Failure};
use crate::request::{ChatRequest, ToolCall};
use crate::response::{FinishReason, Usage};
use crate::sse::SseEvent;

/// A wire format. A provider's kind has one or more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI chat completions.
    Chat,
    /// OpenAI Responses.
    Responses,
}

impl From<ProviderKind> for Wire {
    /// The format in which a caller of this vendor's dialect speaks to a gateway.
    fn from(kind: ProviderKind) -> Self {
        match kind {
            ProviderKind::Anthropic => Self::Anthropic,
            ProviderKind::OpenAi => Self::Chat,
        }
    }
}

/// How a deployment differs from the rule of its dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quirks {
    /// Whether the model takes a temperature.
    pub(crate) sampling: bool,
    pub(crate) max_tokens_field: MaxTokensField,
}

/// A whole answer as a dialect carries it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) id: Option<String>,
    pub(crate) text: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) finish: FinishReason,
    pub(crate) usage: Option<Usage>,
}

/// What one event of a stream says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    /// The provider's id of the answer.
    Id(String),
    /// The next piece of text.
    Text(String),
    /// The model begins a tool call at this place of its list.
    ToolStart {
        index: usize,
        id: String,
        name: String,
    },
    /// The next piece of the arguments of the call at this place.
    ToolArguments { index: usize, json: String },
    /// All tokens used so far; it replaces what was said before.
    Usage(Usage),
    /// Why the answer ends.
    Finish(FinishReason),
    /// The dialect's own end mark.
    Done,
}

/// Decodes the events of one stream.
#[derive(Debug)]
pub(crate) enum StreamDecoder {
    Anthropic(anthropic::StreamDecoder),
    Chat(openai::StreamDecoder),
    Responses(responses::StreamDecoder),
}

impl StreamDecoder {
    pub(crate) fn new(wire: Wire) -> Self {
        match wire {
            Wire::Anthropic => Self::Anthropic(anthropic::StreamDecoder::default()),
            Wire::Chat => Self::Chat(openai::StreamDecoder::default()),
            Wire::Responses => Self::Responses(responses::StreamDecoder),
        }
    }

    /// Appends what `event` says to `out`. Events and fields that are not known
    /// say nothing; an error event and an unreadable one are failures.
    pub(crate) fn accept(
        &mut self,
        event: &SseEvent,
        out: &mut impl Extend<Piece>,
    ) -> Result<(), Failure> {
        match self {
            Self::Anthropic(decoder) => decoder.accept(event, out),
            Self::Chat(decoder) => decoder.accept(event, out),
            Self::Responses(decoder) => decoder.accept(event, out),
        }
    }
}

pub(crate) fn encode(
    wire: Wire,
    request: &ChatRequest,
    model: &str,
    stream: bool,
    quirks: Quirks,
) -> Result<Vec<u8>, Failure> {
    let body = match wire {
        Wire::Anthropic => anthropic::encode(request, model, stream, quirks),
        Wire::Chat => openai::encode(request, model, stream, quirks),
        Wire::Responses => responses::encode(request, model, stream, quirks),
    };
    body.map_err(|error| Failure {
        source: Some(Box::new(error)),
        ..Failure::new(
            ErrorKind::InvalidRequest,
            "the request cannot be written as JSON",
        )
    })
}

pub(crate) fn decode_answer(wire: Wire, body: &[u8]) -> Result<Answer, Failure> {
    match wire {
        Wire::Anthropic => anthropic::decode_answer(body),
        Wire::Chat => openai::decode_answer(body),
        Wire::Responses => responses::decode_answer(body),
    }
}

/// The error object, which both dialects write nearly alike.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireError {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<serde_json::Value>,
    message: Option<Box<str>>,
}

#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: WireError,
    #[serde(default)]
    request_id: Option<String>,
}

/// Makes a failure of an answer whose status is not 200.
pub(crate) fn decode_error(status: u16, body: &[u8]) -> Failure {
    let parsed = serde_json::from_slice::<ErrorBody>(body).ok();
    let upstream_id = parsed.as_ref().and_then(|body| body.request_id.clone());
    let error = parsed.map(|body| body.error).unwrap_or_default();
    let words = error.words();
    let kind = match (status, words.as_deref()) {
        // Out of money looks like a rate limit, but waiting does not help.
        (429, Some("insufficient_quota")) => ErrorKind::Unauthorized,
        (400, Some("billing_error")) => ErrorKind::Unauthorized,
        _ => kind_of_status(status),
    };
    Failure {
        status: Some(status),
        code: words,
        upstream_message: error.message,
        upstream_id,
        ..Failure::new(kind, "")
    }
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401..=403 => ErrorKind::Unauthorized,
        404 | 405 | 410 | 300..=399 => ErrorKind::NotFound,
        408 | 409 | 425 => ErrorKind::Upstream,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidRequest,
        503 | 529 => ErrorKind::Overloaded,
        500..=599 => ErrorKind::Upstream,
        _ => ErrorKind::Garbled,
    }
}

impl WireError {
    /// The most telling machine-readable word, when it is one: a provider's
    /// free text could quote a prompt or a key.
    fn words(&self) -> Option<Box<str>> {
        let code = match &self.code {
            Some(serde_json::Value::String(code)) => Some(code.as_str()),
            _ => None,
        };
        code.or(self.kind.as_deref()).and_then(word)
    }

    /// An error event inside a stream: the status was 200 long ago, so that
    /// the words are the only sign.
    fn into_failure(self) -> Failure {
        let kind = match self.kind.as_deref().unwrap_or_default() {
            "invalid_request_error" | "request_too_large" => ErrorKind::InvalidRequest,
            "authentication_error"
            | "permission_error"
            | "billing_error"
            | "insufficient_quota" => ErrorKind::Unauthorized,
            "not_found_error" => ErrorKind::NotFound,
            "rate_limit_error" | "rate_limit_exceeded" | "requests" | "tokens" => {
                ErrorKind::RateLimited
            }
            "overloaded_error" | "service_unavailable_error" => ErrorKind::Overloaded,
            _ => ErrorKind::Upstream,
        };
        Failure {
            code: self.words(),
            upstream_message: self.message,
            ..Failure::new(kind, "the provider reported an error inside the stream")
        }
    }
}

fn word(text: &str) -> Option<Box<str>> {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    fits.then(|| text.into())
}

/// A body or an event that is not what the dialect promises. The parser's own
/// words are dropped: they can quote the answer.
fn garbled(what: &str) -> Failure {
    Failure::new(ErrorKind::Garbled, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_meaning() {
        for (status, kind) in [
            (400, ErrorKind::InvalidRequest),
            (401, ErrorKind::Unauthorized),
            (402, ErrorKind::Unauthorized),
            (404, ErrorKind::NotFound),
            (413, ErrorKind::InvalidRequest),
            (422, ErrorKind::InvalidRequest),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Upstream),
            (503, ErrorKind::Overloaded),
            (504, ErrorKind::Upstream),
            (529, ErrorKind::Overloaded),
        ] {
            assert_eq!(
                decode_error(status, b"<html>oops</html>").kind,
                kind,
                "{status}"
            );
        }
    }

    #[test]
    fn an_empty_purse_is_not_a_rate_limit() {
        let body = br#"{"error":{"message":"You exceeded your quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert_eq!(decode_error(429, body).kind, ErrorKind::Unauthorized);
    }

    #[test]
    fn only_words_of_a_provider_become_a_code() {
        let body = br#"{"error":{"message":"m","type":"Your prompt 'my secret' is bad"}}"#;
        assert_eq!(decode_error(400, body).code, None);
        let body = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;
        let failure = decode_error(529, body);
        assert_eq!(failure.code.as_deref(), Some("overloaded_error"));
        assert_eq!(failure.upstream_id.as_deref(), Some("req_1"));
    }
}
