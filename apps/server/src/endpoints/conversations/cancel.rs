//! POST `/api/v1/conversations/{id}/messages/{message_id}/cancel`.

use crate::{
    extract::ApiPath2,
    operation::{Access, Operation},
    problem::Problem,
    reply::NoContent,
};
use actix_web::http::Method;
use mainstay_domain::{ConversationId, MessageId};
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::Call;

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/conversations/{id}/messages/{message_id}/cancel",
        "conversations.cancel",
        Access::Requires(Permission::WriteConversations),
        cancel,
    )
    .summary("Stop an answer that is being written")
    .description("What was written until then is kept. Stopping a finished answer is no error.")
}

async fn cancel(
    call: Call,
    orchestrator: Orchestrator,
    ApiPath2(conversation, message): ApiPath2<ConversationId, MessageId>,
) -> Result<NoContent, Problem> {
    orchestrator.cancel(&call, conversation, message).await?;
    Ok(NoContent)
}
