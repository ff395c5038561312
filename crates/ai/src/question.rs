//! What a journey carries to its deployments: a request of our own form, or
//! one that came in a dialect and is passed through where that is possible.

use reqwest::header::HeaderMap;

use crate::config::ProviderKind;
use crate::dialect::{self, Quirks};
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
    pub(crate) fn suits(&self, kind: ProviderKind) -> bool {
        match self {
            Self::Chat(_) => true,
            Self::Gateway {
                request,
                translated,
            } => request.dialect() == kind || translated.is_some(),
            Self::Count(request) => kind == ProviderKind::Anthropic && request.dialect() == kind,
            Self::Embeddings(_) => kind == ProviderKind::OpenAi,
        }
    }

    /// Where it goes, under a provider's base URL.
    pub(crate) fn path(&self, kind: ProviderKind) -> &'static str {
        match (self, kind) {
            (Self::Embeddings(_), _) => "/embeddings",
            (Self::Count(_), _) => "/v1/messages/count_tokens",
            (_, ProviderKind::Anthropic) => "/v1/messages",
            (_, ProviderKind::OpenAi) => "/chat/completions",
        }
    }

    pub(crate) fn encode(
        &self,
        kind: ProviderKind,
        model: &str,
        stream: bool,
        quirks: Quirks,
    ) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Chat(request)
            | Self::Gateway {
                translated: Some(request),
                ..
            } if !self.passes_through(kind) => {
                dialect::encode(kind, request, model, stream, quirks)
            }
            Self::Gateway { request, .. } | Self::Count(request) if self.passes_through(kind) => {
                Ok(request.body_for(model))
            }
            Self::Embeddings(request) => Ok(request.body(model)),
            _ => Err(Failure::new(
                ErrorKind::InvalidRequest,
                "the request cannot be said in the dialect of this deployment",
            )),
        }
    }

    fn passes_through(&self, kind: ProviderKind) -> bool {
        match self {
            Self::Gateway { request, .. } | Self::Count(request) => request.dialect() == kind,
            Self::Chat(_) | Self::Embeddings(_) => false,
        }
    }

    /// The caller's own protocol headers, which win over the provider's settings.
    pub(crate) fn set_headers(&self, kind: ProviderKind, headers: &mut HeaderMap) {
        match self {
            Self::Gateway { request, .. } | Self::Count(request) if request.dialect() == kind => {
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
