//! What a journey carries to its deployments: a request of our own form, or
//! one that came in a dialect and is passed through where that is possible.

use reqwest::header::HeaderMap;

use crate::dialect::{self, Quirks, Wire};
use crate::embedding::EmbeddingRequest;
use crate::error::{ErrorKind, Failure};
use crate::gateway::GatewayRequest;
use crate::request::ChatRequest;
use crate::tokens;

#[derive(Debug)]
pub(crate) enum Question {
    Chat(ChatRequest),
    Gateway {
        request: GatewayRequest,
        /// For deployments of the other dialect; `None` when it cannot be said there.
        translated: Option<ChatRequest>,
    },
    /// How many tokens would this be? Anthropic alone answers.
    Count(GatewayRequest),
    /// OpenAI-compatible servers alone answer.
    Embeddings(EmbeddingRequest),
}

impl Question {
    /// Whether it can be said in this dialect.
    pub(crate) fn suits(&self, wire: Wire) -> bool {
        match self {
            Self::Chat(_) => true,
            Self::Gateway {
                request,
                translated,
            } => Wire::from(request.dialect()) == wire || translated.is_some(),
            Self::Count(request) => {
                wire == Wire::Anthropic && Wire::from(request.dialect()) == wire
            }
            Self::Embeddings(_) => wire != Wire::Anthropic,
        }
    }

    /// Where it goes, under a provider's base URL.
    pub(crate) fn path(&self, wire: Wire) -> &'static str {
        match (self, wire) {
            (Self::Embeddings(_), _) => "/embeddings",
            (Self::Count(_), _) => "/v1/messages/count_tokens",
            (_, Wire::Anthropic) => "/v1/messages",
            (_, Wire::Chat) => "/chat/completions",
            (_, Wire::Responses) => "/responses",
        }
    }

    pub(crate) fn encode(
        &self,
        wire: Wire,
        model: &str,
        stream: bool,
        quirks: Quirks,
    ) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Chat(request)
            | Self::Gateway {
                translated: Some(request),
                ..
            } if !self.passes_through(wire) => {
                dialect::encode(wire, request, model, stream, quirks)
            }
            Self::Gateway { request, .. } | Self::Count(request) if self.passes_through(wire) => {
                Ok(request.body_for(model))
            }
            Self::Embeddings(request) => Ok(request.body(model)),
            _ => Err(Failure::new(
                ErrorKind::InvalidRequest,
                "the request cannot be said in the dialect of this deployment",
            )),
        }
    }

    fn passes_through(&self, wire: Wire) -> bool {
        match self {
            Self::Gateway { request, .. } | Self::Count(request) => {
                Wire::from(request.dialect()) == wire
            }
            Self::Chat(_) | Self::Embeddings(_) => false,
        }
    }

    /// The caller's own protocol headers, which win over the provider's settings.
    pub(crate) fn set_headers(&self, wire: Wire, headers: &mut HeaderMap) {
        match self {
            Self::Gateway { request, .. } | Self::Count(request)
                if Wire::from(request.dialect()) == wire =>
            {
                request.set_headers(headers);
            }
            _ => {}
        }
    }

    pub(crate) fn estimate_input_tokens(&self) -> u64 {
        match self {
            Self::Chat(request)
            | Self::Gateway {
                translated: Some(request),
                ..
            } => tokens::estimate_request(request),
            Self::Gateway { request, .. } | Self::Count(request) => request.estimate_input_tokens(),
            Self::Embeddings(request) => request.estimate_input_tokens(),
        }
    }
}
