//! What a journey carries to its deployments: a request of our own form, or
//! one that came in a dialect and is passed through where that is possible.

use reqwest::header::HeaderMap;

use crate::config::ProviderKind;
use crate::dialect::{self, Quirks};
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
            Self::Chat(request) => dialect::encode(kind, request, model, stream, quirks),
            Self::Gateway { request, .. } if request.dialect() == kind => {
                Ok(request.body_for(model))
            }
            Self::Gateway {
                translated: Some(request),
                ..
            } => dialect::encode(kind, request, model, stream, quirks),
            Self::Gateway { .. } => Err(Failure::new(
                ErrorKind::InvalidRequest,
                "the request cannot be said in the dialect of this deployment",
            )),
        }
    }

    /// The caller's own protocol headers, which win over the provider's settings.
    pub(crate) fn set_headers(&self, kind: ProviderKind, headers: &mut HeaderMap) {
        if let Self::Gateway { request, .. } = self
            && request.dialect() == kind
        {
            request.set_headers(headers);
        }
    }

    pub(crate) fn estimate_input_tokens(&self) -> u64 {
        match self {
            Self::Chat(request)
            | Self::Gateway {
                translated: Some(request),
                ..
            } => tokens::estimate_request(request),
            Self::Gateway { request, .. } => request.estimate_input_tokens(),
        }
    }
}
