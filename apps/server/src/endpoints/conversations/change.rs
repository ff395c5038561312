//! POST `/api/v1/conversations`, PATCH and DELETE `/api/v1/conversations/{id}`.

use super::ConversationBody;
use crate::{
    extract::{ApiJson, ApiPath, IfMatch},
    operation::{Access, Operation},
    problem::Problem,
    reply::{CreatedTagged, NoContent, Tagged},
};
use actix_web::http::Method;
use mainstay_domain::{ConversationId, Name};
use mainstay_identity::Permission;
use mainstay_persistence::{Call, ConversationPatch, Conversations, NewConversation};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

const WRITES: Access = Access::Requires(Permission::WriteConversations);

/// A conversation to begin.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConversationRequest {
    /// Its title.
    #[garde(length(chars, min = 1, max = 120))]
    title: Option<String>,
    /// The persona that answers unless a message names another.
    #[garde(skip)]
    persona_id: Option<Uuid>,
}

/// What to change; what is left out stays, null clears.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationPatchRequest {
    /// Its title.
    #[garde(inner(inner(length(chars, min = 1, max = 120))))]
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    title: Option<Option<String>>,
    /// The persona that answers.
    #[garde(skip)]
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<Uuid>")]
    persona_id: Option<Option<Uuid>>,
}

/// Tells null from absent.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

pub(crate) fn create() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/conversations",
        "conversations.create",
        WRITES,
        begin,
    )
    .summary("Begin a conversation")
    .idempotent()
}

pub(crate) fn update() -> Operation {
    Operation::new(
        Method::PATCH,
        "/api/v1/conversations/{id}",
        "conversations.update",
        WRITES,
        patch,
    )
    .summary("Rename a conversation or give it another persona")
}

pub(crate) fn delete() -> Operation {
    Operation::new(
        Method::DELETE,
        "/api/v1/conversations/{id}",
        "conversations.delete",
        WRITES,
        remove,
    )
    .summary("Delete a conversation with its messages")
}

fn title(text: &str) -> Result<Name, Problem> {
    Name::parse(text).map_err(|error| Problem::field("/title", error.to_string()))
}

async fn begin(
    call: Call,
    conversations: Conversations,
    ApiJson(body): ApiJson<NewConversationRequest>,
) -> Result<CreatedTagged<ConversationBody>, Problem> {
    let new = NewConversation {
        title: body.title.as_deref().map(title).transpose()?,
        persona_id: body.persona_id.map(Into::into),
    };
    let conversation = conversations.create(&call, &new).await?;
    let version = conversation.version;
    Ok(CreatedTagged(conversation.into(), version))
}

async fn patch(
    call: Call,
    conversations: Conversations,
    ApiPath(id): ApiPath<ConversationId>,
    IfMatch(version): IfMatch,
    ApiJson(body): ApiJson<ConversationPatchRequest>,
) -> Result<Tagged<ConversationBody>, Problem> {
    let patch = ConversationPatch {
        title: match body.title {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(Some(title(&text)?)),
        },
        persona_id: body.persona_id.map(|id| id.map(Into::into)),
    };
    let conversation = conversations.update(&call, id, version, &patch).await?;
    let version = conversation.version;
    Ok(Tagged(conversation.into(), version))
}

async fn remove(
    call: Call,
    conversations: Conversations,
    ApiPath(id): ApiPath<ConversationId>,
) -> Result<NoContent, Problem> {
    conversations.delete(&call, id).await?;
    Ok(NoContent)
}
