//! Conversations and their messages.

use crate::{
    answer::{Citation, Provenance},
    governance::Decision,
    ids::{AgentId, ConversationId, MessageId, PersonaId, RunId, UserId, WorkspaceId},
    money::Usd,
    usage::Tokens,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A conversation of one person (or of the agent that acts for them).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Whose it is; nobody else sees it.
    pub owner_id: UserId,
    /// The agent that owns it, when one does.
    pub agent_id: Option<AgentId>,
    /// The persona that answers unless a message names another.
    pub persona_id: Option<PersonaId>,
    /// Its title.
    pub title: Option<String>,
    /// Counts its changes from 1.
    pub version: i32,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// The person.
    User,
    /// Mainstay.
    Assistant,
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// Its run goes on.
    Streaming,
    /// Whole.
    Complete,
    /// Stopped on request; what was written until then is kept.
    Cancelled,
    /// Its process went away; what was written until then is kept.
    Interrupted,
    /// Ended by an error after it had begun; what was written until then is kept.
    Failed,
}

impl MessageStatus {
    /// The stable name, as stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::Complete => "complete",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// The run that writes or wrote it, for assistants' messages.
    pub run_id: Option<RunId>,
    /// Who wrote it.
    pub role: MessageRole,
    /// How far it has come.
    pub status: MessageStatus,
    /// The text.
    pub content: String,
    /// Where an assistant's message came from.
    pub provenance: Option<Provenance>,
    /// The personas that shaped it.
    pub persona_ids: Vec<PersonaId>,
    /// The model that wrote it, when one did.
    pub model: Option<String>,
    /// What it rests on.
    pub citations: Vec<Citation>,
    /// Tokens that the provider counted.
    pub usage: Tokens,
    /// What it cost; `None` when unknown.
    pub cost_usd: Option<Usd>,
    /// What governance decided on the way.
    pub decisions: Vec<Decision>,
    /// True when it is less than what was asked for.
    pub degraded: bool,
    /// From the question to the whole answer, in milliseconds.
    pub elapsed_ms: u64,
    /// When it was written or begun.
    pub created_at: Timestamp,
}
