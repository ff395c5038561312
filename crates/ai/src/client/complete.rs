//! Ask for a whole answer.

use std::sync::Arc;

use super::{CallOptions, Client};
use crate::error::AiError;
use crate::hedge;
use crate::journey::Journey;
use crate::question::Question;
use crate::request::ChatRequest;
use crate::response::ChatResponse;

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
        let mut journey = Journey::new(
            Arc::clone(&self.inner),
            route,
            Question::Chat(request.clone()),
            options,
        );
        let (turn, (answer, _)) = hedge::ask(&mut journey, |attempt, turn| {
            let limit = turn.whole;
            async move { attempt.whole(limit).await }
        })
        .await?;
        Ok(journey.finish_whole(turn, answer))
    }
}
