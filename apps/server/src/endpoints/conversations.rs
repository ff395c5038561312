//! Conversations and their messages.

pub(crate) mod cancel;
pub(crate) mod change;
pub(crate) mod list;
pub(crate) mod messages;
pub(crate) mod say;
pub(crate) mod stream;

use crate::wire::{CitationBody, DecisionBody, Dollars, TokensBody};
use jiff::Timestamp;
use mainstay_domain::{Conversation, Message, MessageRole};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// A conversation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Conversation")]
pub(crate) struct ConversationBody {
    /// Its id.
    id: Uuid,
    /// Its title.
    title: Option<String>,
    /// The persona that answers unless a message names another.
    persona_id: Option<Uuid>,
    /// The agent that owns it, when one does.
    agent_id: Option<Uuid>,
    /// Counts its changes from 1; also the `ETag`.
    version: i32,
    /// When it was begun.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<Conversation> for ConversationBody {
    fn from(conversation: Conversation) -> Self {
        Self {
            id: conversation.id.uuid(),
            title: conversation.title,
            persona_id: conversation
                .persona_id
                .map(mainstay_domain::PersonaId::uuid),
            agent_id: conversation.agent_id.map(mainstay_domain::AgentId::uuid),
            version: conversation.version,
            created_at: conversation.created_at,
            updated_at: conversation.updated_at,
        }
    }
}

/// A message.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Message")]
pub(crate) struct MessageBody {
    /// Its id.
    pub id: Uuid,
    /// Its conversation.
    pub conversation_id: Uuid,
    /// The run that writes or wrote it, for answers.
    pub run_id: Option<Uuid>,
    /// `user` or `assistant`.
    pub role: &'static str,
    /// `streaming`, `complete`, `cancelled`, `interrupted` or `failed`.
    pub status: &'static str,
    /// The text.
    pub content: String,
    /// Where an answer came from.
    pub provenance: Option<&'static str>,
    /// What it rests on.
    pub citations: Vec<CitationBody>,
    /// The personas that shaped it.
    pub persona_ids: Vec<Uuid>,
    /// The model that wrote it, when one did.
    pub model: Option<String>,
    /// Tokens that the provider counted.
    pub usage: TokensBody,
    /// What it cost; null when unknown.
    pub cost_usd: Option<Dollars>,
    /// What governance decided on the way.
    pub decisions: Vec<DecisionBody>,
    /// True when it is less than what was asked for.
    pub degraded: bool,
    /// From the question to the whole answer, in milliseconds.
    pub elapsed_ms: u64,
    /// When it was written or begun.
    pub created_at: Timestamp,
}

impl From<Message> for MessageBody {
    fn from(message: Message) -> Self {
        Self {
            id: message.id.uuid(),
            conversation_id: message.conversation_id.uuid(),
            run_id: message.run_id.map(mainstay_domain::RunId::uuid),
            role: match message.role {
                MessageRole::User => "user",
                MessageRole::Assistant => "assistant",
            },
            status: message.status.as_str(),
            content: message.content,
            provenance: message.provenance.map(mainstay_domain::Provenance::as_str),
            citations: message.citations.into_iter().map(Into::into).collect(),
            persona_ids: message.persona_ids.iter().map(|id| id.uuid()).collect(),
            model: message.model,
            usage: message.usage.into(),
            cost_usd: message.cost_usd.map(Into::into),
            decisions: message.decisions.into_iter().map(Into::into).collect(),
            degraded: message.degraded,
            elapsed_ms: message.elapsed_ms,
            created_at: message.created_at,
        }
    }
}
