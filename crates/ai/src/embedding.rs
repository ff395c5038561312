//! Texts as vectors.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::{CallOptions, Client};
use crate::config::ProviderKind;
use crate::error::{AiError, ErrorKind, Failure};
use crate::journey::Journey;
use crate::price::NanoUsd;
use crate::question::Question;
use crate::response::{AttemptReport, Usage};
use crate::tokens;

/// Texts to be turned into vectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbeddingRequest {
    /// Name of a configured model; empty means the client's default model.
    pub model: String,
    /// The texts; never empty.
    pub input: Vec<String>,
    /// The length of the vectors, for models that let it be chosen.
    pub dimensions: Option<u32>,
    /// An opaque id of the person behind the call.
    pub user_id: Option<String>,
}

impl EmbeddingRequest {
    pub(crate) fn body(&self, model: &str) -> Vec<u8> {
        let mut body = json!({"model": model, "input": self.input, "encoding_format": "float"});
        if let Some(dimensions) = self.dimensions {
            body["dimensions"] = json!(dimensions);
        }
        if let Some(user) = &self.user_id {
            body["user"] = json!(user);
        }
        body.to_string().into_bytes()
    }

    pub(crate) fn estimate_input_tokens(&self) -> u64 {
        self.input.iter().map(|text| tokens::estimate(text)).sum()
    }
}

/// One vector for each text, in the order of the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embeddings {
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// The provider's own id of the model.
    pub model: String,
    /// The provider's configured name.
    pub provider: String,
    /// What was used; only input tokens.
    pub usage: Usage,
    /// True when `usage` was counted here because the provider did not say.
    pub usage_is_estimate: bool,
    /// What it cost; `None` is unknown, never free.
    pub cost: Option<NanoUsd>,
    /// Every attempt of this call, the last one answered.
    pub attempts: Vec<AttemptReport>,
    /// From the call to the answer.
    pub elapsed: Duration,
}

#[derive(Deserialize)]
struct Body {
    data: Vec<Item>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: u64,
}

/// Reads the vectors, each at its index; exactly `wanted` of them.
fn decode(body: &[u8], wanted: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), Failure> {
    let garbled = || {
        Failure::new(
            ErrorKind::Garbled,
            "the body is not a list of as many embeddings as texts",
        )
    };
    let body: Body = serde_json::from_slice(body).map_err(|_| garbled())?;
    let mut vectors = vec![Vec::new(); wanted];
    for item in body.data {
        *vectors.get_mut(item.index).ok_or_else(garbled)? = item.embedding;
    }
    if vectors.iter().any(Vec::is_empty) {
        return Err(garbled());
    }
    Ok((vectors, body.usage.map(|usage| usage.prompt_tokens)))
}

impl Client {
    /// Turns texts into vectors, retrying and falling back like any call.
    /// Mind that vectors of different models do not compare: a model with a
    /// fallback to another one is of little use here.
    ///
    /// # Errors
    /// [`AiError`]; [`ErrorKind::InvalidRequest`] also when the model has no
    /// OpenAI-compatible deployment.
    pub async fn embed(
        &self,
        request: &EmbeddingRequest,
        options: CallOptions,
    ) -> Result<Embeddings, AiError> {
        let route = self.inner.route(&request.model)?;
        if request.input.is_empty() {
            return Err(AiError::new(
                ErrorKind::InvalidRequest,
                "input must not be empty",
            ));
        }
        if !route
            .deployments()
            .any(|deployment| deployment.provider.kind == ProviderKind::OpenAi)
        {
            let detail = "no deployment of this model makes embeddings";
            return Err(AiError::new(ErrorKind::InvalidRequest, detail));
        }
        let question = Question::Embeddings(request.clone());
        let mut journey = Journey::new(Arc::clone(&self.inner), route, question, options);
        loop {
            let turn = journey.next().await?;
            let answer = journey.attempt(&turn).body(turn.whole).await;
            let decoded = answer
                .and_then(|got| Ok((decode(&got.body, request.input.len())?, got.upstream_id)));
            let ((vectors, said), upstream_id) = match decoded {
                Ok(decoded) => decoded,
                Err(failure) => {
                    journey.failed(turn, failure, None)?;
                    continue;
                }
            };
            let deployment = Arc::clone(&turn.deployment);
            let usage = Usage {
                input_tokens: said.unwrap_or_else(|| request.estimate_input_tokens()),
                ..Usage::default()
            };
            return Ok(Embeddings {
                vectors,
                cost: self.inner.cost(&deployment.model, &usage),
                attempts: journey.answered(turn, usage, said.is_none(), upstream_id),
                model: deployment.model.clone(),
                provider: deployment.provider.name.clone(),
                usage,
                usage_is_estimate: said.is_none(),
                elapsed: journey.elapsed(),
            });
        }
    }
}
