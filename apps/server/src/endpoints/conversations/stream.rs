//! GET `/api/v1/conversations/{id}/messages/{message_id}/stream`.

use crate::{
    exchange::Exchange,
    extract::ApiPath2,
    operation::{Access, Operation},
    problem::{Code, Problem},
    sse, wire,
};
use actix_web::{
    HttpResponse,
    http::{Method, StatusCode},
};
use futures_util::stream;
use mainstay_domain::{ConversationId, CorrelationId, MessageId};
use mainstay_identity::Permission;
use mainstay_orchestrator::{Orchestrator, Watched};
use mainstay_persistence::Call;

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/conversations/{id}/messages/{message_id}/stream",
        "conversations.stream",
        Access::Requires(Permission::ReadConversations),
        watch,
    )
    .summary("Read an answer along as it is written")
    .description(
        "From its beginning, or from `Last-Event-ID` on. A finished answer is replayed from \
         storage. Leaving does not stop it.",
    )
    .answers_text(StatusCode::OK, "text/event-stream")
}

async fn watch(
    exchange: Exchange,
    call: Call,
    orchestrator: Orchestrator,
    ApiPath2(conversation, message): ApiPath2<ConversationId, MessageId>,
) -> Result<HttpResponse, Problem> {
    let after = match exchange.header("last-event-id") {
        None => None,
        Some(text) => Some(text.trim().parse::<u64>().map_err(|_| {
            Problem::new(
                Code::BadRequest,
                "Last-Event-ID must be the id of an event of this stream",
            )
        })?),
    };
    let watched = orchestrator
        .watch(&call, conversation, message, after)
        .await?;
    Ok(sse::respond(
        &exchange.http,
        events(watched, exchange.known.correlation_id),
    ))
}

/// The steps of a run as events, with the run's own numbers as ids.
pub(super) fn events(
    watched: Watched,
    correlation_id: CorrelationId,
) -> impl futures_util::Stream<Item = sse::Event> {
    stream::unfold(watched, move |mut watched| async move {
        let (seq, step) = watched.next().await?;
        let event = wire::sse_event(Some(seq.to_string()), step, correlation_id);
        Some((event, watched))
    })
}
