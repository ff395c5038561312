//! How many tokens a request would put in.

use std::sync::Arc;

use serde::Deserialize;

use super::GatewayRequest;
use crate::client::{CallOptions, Client};
use crate::config::ProviderKind;
use crate::error::{AiError, ErrorKind, Failure};
use crate::journey::Journey;
use crate::question::Question;
use crate::response::Usage;

/// A count of input tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCount {
    /// The tokens.
    pub input_tokens: u64,
    /// Whether the provider counted; otherwise it is the conservative estimate
    /// of [`tokens`](crate::tokens).
    pub is_exact: bool,
}

#[derive(Deserialize)]
struct Body {
    input_tokens: u64,
}

impl Client {
    /// Counts what a request would put in, by the provider where it offers
    /// that (Anthropic), else by estimate. When the provider fails the estimate
    /// is the answer: a count is asked before a call and must not prevent it.
    ///
    /// # Errors
    /// When the model is not known, or the provider says that the request is wrong.
    pub async fn count_tokens(
        &self,
        request: GatewayRequest,
        options: CallOptions,
    ) -> Result<TokenCount, AiError> {
        let route = self.inner.route(request.model())?;
        let estimate = TokenCount {
            input_tokens: request.estimate_input_tokens(),
            is_exact: false,
        };
        let counts = |kind| kind == ProviderKind::Anthropic && request.dialect() == kind;
        if !route
            .deployments()
            .any(|deployment| counts(deployment.provider.kind))
        {
            return Ok(estimate);
        }
        let question = Question::Count(request);
        let mut journey = Journey::new(Arc::clone(&self.inner), route, question, options);
        match ask(&mut journey).await {
            Ok(input_tokens) => Ok(TokenCount {
                input_tokens,
                is_exact: true,
            }),
            Err(error) if error.kind() == ErrorKind::InvalidRequest => Err(error),
            Err(_) => Ok(estimate),
        }
    }
}

async fn ask(journey: &mut Journey) -> Result<u64, AiError> {
    loop {
        let turn = journey.next().await?;
        let answer = journey.attempt(&turn).body(turn.whole).await;
        let counted = answer.and_then(|received| {
            let garbled = |_| Failure::new(ErrorKind::Garbled, "the body is not a count of tokens");
            let body: Body = serde_json::from_slice(&received.body).map_err(garbled)?;
            Ok((body.input_tokens, received.upstream_id))
        });
        match counted {
            Ok((tokens, id)) => {
                // Counting is free of charge.
                journey.answered(turn, Usage::default(), false, id);
                return Ok(tokens);
            }
            Err(failure) => journey.failed(turn, failure, None)?,
        }
    }
}
