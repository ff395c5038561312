//! Values and rules of Mainstay: types that cannot be wrong, and no IO.
//!
//! Nothing here reads a clock, a socket or a file: times arrive as arguments.
//! A value of one of these types has passed its rules, so the layers above
//! and beside never check twice. A type lives here only when two crates
//! need it.

pub mod agent;
pub mod answer;
pub mod caller;
pub mod conversation;
pub mod governance;
pub mod ids;
pub mod knowledge;
pub mod money;
pub mod persona;
pub mod text;
pub mod usage;
pub mod user;
pub mod workspace;

pub use agent::{Agent, AgentAction, AgentKind, AgentState, TransitionRefused};
pub use answer::{Answer, Citation, Provenance};
pub use caller::{Caller, Principal, Role};
pub use conversation::{Conversation, Message, MessageRole, MessageStatus};
pub use governance::{Decision, GovernanceLevel, Hook, Verdict};
pub use ids::{
    AgentId, AuditId, ConversationId, CorrelationId, DecisionId, ExecutionId, InvitationId,
    KnowledgeId, MessageId, PersonaId, RunId, SessionId, UsageId, UserId, WorkspaceId,
};
pub use knowledge::{KnowledgeDocument, Passage};
pub use money::Usd;
pub use persona::{Persona, PersonaDraft};
pub use text::{Email, InvalidText, Name, Prompt};
pub use usage::Tokens;
pub use user::{User, UserStatus};
pub use workspace::{Invitation, Workspace};
