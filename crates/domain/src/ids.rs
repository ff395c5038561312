//! Identifiers: one type per kind of thing, so that they cannot be mixed up.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Makes a UUIDv7 whose time part is `now`, so that ids sort by creation.
fn v7(now: Timestamp) -> Uuid {
    // Times before 1970 cannot come from a running system; they sort first.
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id (UUIDv7) that sorts by `now`; the rest is random.
            #[must_use]
            pub fn at(now: Timestamp) -> Self {
                Self(v7(now))
            }

            /// The id as a plain UUID, for a database parameter or a frame.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )+};
}

id! {
    /// A workspace: the tenant that every row belongs to.
    WorkspaceId,
    /// A person with an account.
    UserId,
    /// A login session: the family of refresh tokens that descend from one login.
    SessionId,
    /// A single-use invitation into a workspace.
    InvitationId,
    /// A persona.
    PersonaId,
    /// An agent.
    AgentId,
    /// A conversation.
    ConversationId,
    /// A message of a conversation.
    MessageId,
    /// One production of one answer, which viewers can join and leave.
    RunId,
    /// One one-shot question and its answer.
    ExecutionId,
    /// A document of the knowledge base.
    KnowledgeId,
    /// A governance decision.
    DecisionId,
    /// A row of the audit log.
    AuditId,
    /// A usage record.
    UsageId,
    /// The thread that ties a request to its log lines, audit rows and upstream calls.
    CorrelationId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let earlier = UserId::at(Timestamp::from_second(1_700_000_000).unwrap());
        let later = UserId::at(Timestamp::from_second(1_700_000_001).unwrap());
        assert!(earlier < later);
        assert_eq!(earlier.uuid().get_version_num(), 7);
    }

    #[test]
    fn ids_round_trip_as_plain_uuid_text() {
        let id = PersonaId::at(Timestamp::from_second(1_700_000_000).unwrap());
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(id.to_string().parse::<PersonaId>().unwrap(), id);
    }
}
