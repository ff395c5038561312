//! GET `/api/v1/conversations` and `/api/v1/conversations/{id}`.

use super::ConversationBody;
use crate::{
    extract::{ApiPath, ApiQuery},
    operation::{Access, Operation},
    problem::Problem,
    reply::{Json, Page, Tagged},
    wire::{self, ListQuery},
};
use actix_web::http::Method;
use mainstay_domain::ConversationId;
use mainstay_identity::Permission;
use mainstay_persistence::{Call, Conversations};

const READS: Access = Access::Requires(Permission::ReadConversations);

pub(crate) fn all() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/conversations",
        "conversations.list",
        READS,
        list,
    )
    .summary("One's own conversations")
}

pub(crate) fn one() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/conversations/{id}",
        "conversations.get",
        READS,
        get,
    )
    .summary("One of one's own conversations")
}

async fn list(
    call: Call,
    conversations: Conversations,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Page<ConversationBody>>, Problem> {
    let page = conversations.list(&call, query.request()?).await?;
    Ok(Json(wire::page(page)))
}

async fn get(
    call: Call,
    conversations: Conversations,
    ApiPath(id): ApiPath<ConversationId>,
) -> Result<Tagged<ConversationBody>, Problem> {
    let conversation = conversations.find(&call, id).await?;
    let version = conversation.version;
    Ok(Tagged(conversation.into(), version))
}
