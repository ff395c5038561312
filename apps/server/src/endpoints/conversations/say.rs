//! POST `/api/v1/conversations/{id}/messages`.

use super::{MessageBody, stream};
use crate::{
    exchange::Exchange,
    extract::{ApiJson, ApiPath},
    operation::{Access, Operation},
    problem::Problem,
    reply::{Created, Reply as _},
    sse, wire,
};
use actix_web::{
    HttpResponse,
    http::{Method, StatusCode},
};
use mainstay_domain::{ConversationId, Prompt};
use mainstay_identity::Permission;
use mainstay_orchestrator::{AnswerEvent, Orchestrator, Said, Saying, Watched};
use mainstay_persistence::{Call, Messages};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

/// Something said in a conversation.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct SayRequest {
    /// The text, 1 to 100,000 characters.
    #[garde(length(chars, min = 1, max = 100_000))]
    content: String,
    /// The persona that answers, instead of the conversation's own.
    #[garde(skip)]
    persona_id: Option<Uuid>,
    /// The most that the answer may cost, such as `"0.05"`.
    #[garde(length(max = 24))]
    max_cost_usd: Option<String>,
}

impl SayRequest {
    pub(crate) fn into_saying(self, traceparent: Option<String>) -> Result<Saying, Problem> {
        Ok(Saying {
            content: Prompt::parse(self.content)
                .map_err(|error| Problem::field("/content", error.to_string()))?,
            persona_id: self.persona_id.map(Into::into),
            max_cost: self
                .max_cost_usd
                .map(|text| wire::dollars("/max_cost_usd", &text))
                .transpose()?,
            traceparent,
        })
    }
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/conversations/{id}/messages",
        "conversations.say",
        Access::Requires(Permission::WriteConversations),
        say,
    )
    .summary("Say something and get the answer")
    .description(
        "Answers with the answer's message when it is whole, or with its steps as server-sent \
         events when `Accept: text/event-stream` is sent. The answer goes on when the client \
         leaves, until it is stopped or nobody has watched it for 5 minutes.",
    )
    .answers::<MessageBody>(StatusCode::CREATED)
    .answers_text(StatusCode::OK, "text/event-stream")
    .idempotent()
}

async fn say(
    exchange: Exchange,
    (orchestrator, messages): (Orchestrator, Messages),
    call: Call,
    ApiPath(id): ApiPath<ConversationId>,
    ApiJson(body): ApiJson<SayRequest>,
) -> Result<HttpResponse, Problem> {
    let saying = body.into_saying(exchange.traceparent())?;
    let said = orchestrator.say(&call, id, &saying).await?;
    answer(&exchange, &call, &messages, said).await
}

/// The answer of a run: whole, or step by step.
pub(crate) async fn answer(
    exchange: &Exchange,
    call: &Call,
    messages: &Messages,
    said: Said,
) -> Result<HttpResponse, Problem> {
    let streams = exchange
        .header("accept")
        .is_some_and(|accept| accept.contains("text/event-stream"));
    let mut watched = Watched::Run(said.events);
    if streams {
        let steps = stream::events(watched, exchange.known.correlation_id);
        return Ok(sse::respond(&exchange.http, steps));
    }
    while let Some((_, step)) = watched.next().await {
        if let AnswerEvent::Failed(failure) = step {
            return Err(wire::failed(failure));
        }
    }
    // As it is stored, which is what the list will show.
    let message = messages.find(call, said.answer.id).await?;
    Ok(Created(MessageBody::from(message)).respond())
}
