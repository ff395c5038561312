//! Agents: durable owners of conversations, with a lifecycle.

use crate::{
    ids::{AgentId, ConversationId, PersonaId, UserId, WorkspaceId},
    text::Name,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Where an agent stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Waits for work.
    Ready,
    /// At work.
    Busy,
    /// Takes no work until it is resumed.
    Paused,
    /// Its last work failed; a reset brings it back.
    Error,
    /// Ended for good; its history stays readable.
    Terminated,
}

impl AgentState {
    /// The stable name, as stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::Error => "error",
            Self::Terminated => "terminated",
        }
    }
}

impl FromStr for AgentState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [
            Self::Ready,
            Self::Busy,
            Self::Paused,
            Self::Error,
            Self::Terminated,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or(())
    }
}

/// What can be asked of an agent's lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentAction {
    /// Take no more work.
    Pause,
    /// Take work again.
    Resume,
    /// End for good.
    Terminate,
    /// Leave the error behind, or with force also unfinished work.
    Reset,
}

/// A lifecycle step that the agent's state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an agent that is {} cannot {}", .from.as_str(), match .action { AgentAction::Pause => "be paused", AgentAction::Resume => "be resumed", AgentAction::Terminate => "be terminated", AgentAction::Reset => "be reset without force" })]
pub struct TransitionRefused {
    /// The state that it is in.
    pub from: AgentState,
    /// What was asked.
    pub action: AgentAction,
}

impl AgentState {
    /// The state after `action`. `force` lets a busy agent be paused,
    /// terminated or reset; its unfinished work is then lost to it.
    ///
    /// # Errors
    /// [`TransitionRefused`] when the state does not allow it.
    pub fn after(self, action: AgentAction, force: bool) -> Result<Self, TransitionRefused> {
        use AgentAction as A;
        use AgentState as S;
        match (self, action) {
            (S::Ready | S::Error, A::Pause) => Ok(S::Paused),
            (S::Busy, A::Pause) if force => Ok(S::Paused),
            (S::Paused, A::Resume) => Ok(S::Ready),
            (S::Ready | S::Paused | S::Error, A::Terminate) => Ok(S::Terminated),
            (S::Busy, A::Terminate) if force => Ok(S::Terminated),
            (S::Error | S::Ready, A::Reset) => Ok(S::Ready),
            (S::Busy | S::Paused, A::Reset) if force => Ok(S::Ready),
            (from, action) => Err(TransitionRefused { from, action }),
        }
    }
}

/// What an agent is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentKind(pub Name);

/// An agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// For whom it acts.
    pub owner_id: UserId,
    /// Its name, unique among its owner's living agents.
    pub name: Name,
    /// What it is for, such as `code_assistant`.
    pub kind: AgentKind,
    /// The persona that it speaks as.
    pub persona_id: Option<PersonaId>,
    /// The conversation that holds its work.
    pub conversation_id: ConversationId,
    /// Where it stands.
    pub state: AgentState,
    /// Counts its changes from 1.
    pub version: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use AgentAction as A;
    use AgentState as S;

    #[test]
    fn terminated_is_the_end() {
        for action in [A::Pause, A::Resume, A::Terminate, A::Reset] {
            assert!(S::Terminated.after(action, true).is_err());
        }
    }

    #[test]
    fn busy_agents_are_left_alone_unless_forced() {
        for action in [A::Pause, A::Terminate, A::Reset] {
            assert!(S::Busy.after(action, false).is_err());
            assert!(S::Busy.after(action, true).is_ok());
        }
    }

    #[test]
    fn pause_and_resume_are_inverse() {
        let paused = S::Ready.after(A::Pause, false).unwrap();
        assert_eq!(paused.after(A::Resume, false), Ok(S::Ready));
    }
}
