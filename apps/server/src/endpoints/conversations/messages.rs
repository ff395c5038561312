//! GET `/api/v1/conversations/{id}/messages`.

use super::MessageBody;
use crate::{
    extract::{ApiPath, ApiQuery},
    operation::{Access, Operation},
    problem::Problem,
    reply::{Json, Page},
    wire::{self, ListQuery},
};
use actix_web::http::Method;
use mainstay_domain::ConversationId;
use mainstay_identity::Permission;
use mainstay_persistence::{Call, Messages};

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/conversations/{id}/messages",
        "conversations.messages",
        Access::Requires(Permission::ReadConversations),
        list,
    )
    .summary("The messages of a conversation")
}

async fn list(
    call: Call,
    messages: Messages,
    ApiPath(id): ApiPath<ConversationId>,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Page<MessageBody>>, Problem> {
    let page = messages.list(&call, id, query.request()?).await?;
    Ok(Json(wire::page(page)))
}
