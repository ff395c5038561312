//! Ask for a whole answer.

use std::sync::Arc;

use super::{CallOptions, Client};
use crate::dialect::Answer;
use crate::error::AiError;
use crate::journey::{Journey, Turn};
use crate::request::ChatRequest;
use crate::response::{ChatResponse, Usage};
use crate::tokens;

impl Client {
    /// Asks for a whole answer, retrying and falling back as configured, and
    /// is over by the deadline. Dropping the future cancels the request at the
    /// provider.
    ///
    /// # Errors
    /// [`AiError`], with the report of every attempt. The text of an answer
    /// that broke off is not returned.
    pub async fn complete(
        &self,
        request: &ChatRequest,
        options: CallOptions,
    ) -> Result<ChatResponse, AiError> {
        let route = self.inner.check(request)?;
        let mut journey = Journey::new(Arc::clone(&self.inner), route, request.clone(), options);
        loop {
            let turn = journey.next().await?;
            match journey.attempt(&turn).whole(turn.whole).await {
                Ok(answer) => return Ok(finish(&mut journey, turn, answer)),
                Err(failure) => journey.failed(turn, failure, None)?,
            }
        }
    }
}

fn finish(journey: &mut Journey, turn: Turn, answer: Answer) -> ChatResponse {
    let deployment = Arc::clone(&turn.deployment);
    deployment
        .pace
        .answered_after(journey.inner.clock.now().saturating_sub(turn.started));
    let usage_is_estimate = answer.usage.is_none();
    let usage = answer.usage.unwrap_or_else(|| Usage {
        input_tokens: tokens::estimate_request(&journey.request),
        output_tokens: tokens::estimate(&answer.text),
        ..Usage::default()
    });
    ChatResponse {
        cost: journey.inner.cost(&deployment.model, &usage),
        attempts: journey.answered(turn, usage, usage_is_estimate, answer.id.clone()),
        text: answer.text,
        tool_calls: answer.tool_calls,
        model: deployment.model.clone(),
        requested_model: journey.requested_model.clone(),
        provider: deployment.provider.name.clone(),
        deployment: deployment.name.clone(),
        usage,
        usage_is_estimate,
        finish: answer.finish,
        upstream_id: answer.id,
        time_to_first_token: None,
        elapsed: journey.elapsed(),
    }
}
