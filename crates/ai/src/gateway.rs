//! Requests that arrive in a vendor's dialect, and answers in that dialect.
//!
//! This is what a server needs to let a vendor's SDK use this client: it
//! [parses](GatewayRequest::parse) a body, [forwards](crate::Client::forward)
//! it, and hands out what comes back. Where the deployment speaks the caller's
//! dialect, fields and events that this crate does not know pass through
//! unchanged; where it speaks the other one, request and answer are translated.
//!
//! | of a request in the other dialect | what happens |
//! | --- | --- |
//! | text, pictures, tools, tool results, stop texts, output schema, effort, user id | translated |
//! | `cache_control` | any mark asks for caching of the whole prompt |
//! | `top_p`, `top_k`, `seed`, penalties, `logit_bias`, `service_tier`, `metadata`, `store`, `thinking`, `parallel_tool_calls` | dropped: hints whose loss does not change what is asked |
//! | `n` over 1, `logprobs`, audio, `json_object`, legacy `functions`, documents, server tools | not asked of that deployment; when no other is left the call fails with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) and says which field |
//! | thinking of earlier turns and of the answer | dropped |
//!
//! A server that uses this has retried already: it should send
//! `x-should-retry: false` with every error, or the SDKs multiply the attempts.

mod anthropic;
mod count;
mod error_shape;
mod forward;
mod openai;
mod request;

pub use count::TokenCount;
pub use error_shape::error_body;
pub use forward::{Forwarded, GatewayEvent, GatewayStream};
pub use request::GatewayRequest;

use bytes::Bytes;

use crate::config::ProviderKind;
use crate::dialect::Piece;
use crate::response::ChatResponse;

/// What the encoders need to know of an answer before its first piece.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    pub(crate) model: String,
    pub(crate) created: u64,
    pub(crate) input_tokens: u64,
    pub(crate) include_usage: bool,
}

/// Writes a stream of pieces in a dialect.
#[derive(Debug)]
pub(crate) enum StreamEncoder {
    Anthropic(anthropic::StreamEncoder),
    OpenAi(openai::StreamEncoder),
}

impl StreamEncoder {
    pub(crate) fn new(kind: ProviderKind, opening: Opening) -> Self {
        match kind {
            ProviderKind::Anthropic => Self::Anthropic(anthropic::StreamEncoder::new(opening)),
            ProviderKind::OpenAi => Self::OpenAi(openai::StreamEncoder::new(opening)),
        }
    }

    /// Appends the frames that say this piece.
    pub(crate) fn say(&mut self, piece: &Piece, out: &mut impl Extend<Bytes>) {
        match self {
            Self::Anthropic(encoder) => encoder.say(piece, out),
            Self::OpenAi(encoder) => encoder.say(piece, out),
        }
    }
}

/// Writes a whole answer in a dialect.
pub(crate) fn encode_answer(kind: ProviderKind, answer: &ChatResponse, created: u64) -> Vec<u8> {
    let body = match kind {
        ProviderKind::Anthropic => anthropic::answer(answer),
        ProviderKind::OpenAi => openai::answer(answer, created),
    };
    body.to_string().into_bytes()
}
