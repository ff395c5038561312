//! Agents. Only their owner sees them.

use super::{Shared, conversations::TITLE, count, parse, usd};
use crate::{
    call::Call,
    database::{Conn, Isolation},
    error::{DbError, Failure},
    page::{Page, PageRequest},
    trail::{Actor, Entry, Event},
};
use jiff::Timestamp;
use mainstay_domain::{
    Agent, AgentAction, AgentId, AgentKind, AgentState, ConversationId, Name, PersonaId, Tokens,
    Usd,
};
use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

/// Agents.
#[derive(Clone)]
pub struct Agents(pub(crate) Shared);

/// A new agent.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// Its name, unique among its owner's living agents.
    pub name: Name,
    /// What it is for.
    pub kind: AgentKind,
    /// The persona that it speaks as.
    pub persona_id: Option<PersonaId>,
}

/// What an agent has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentMetrics {
    /// Questions that ended, one way or the other.
    pub requests: u64,
    /// Those that were answered.
    pub succeeded: u64,
    /// Tokens.
    pub tokens: Tokens,
    /// What is known to have been spent.
    pub cost_usd: Usd,
    /// The mean time of an answer, in milliseconds; `None` before the first.
    pub average_elapsed_ms: Option<u64>,
    /// When it last did something.
    pub last_activity: Option<Timestamp>,
}

// Both rows refer to each other; foreign keys are checked when the statement ends.
const INSERT: &str = "
WITH conversation AS (
    INSERT INTO conversations (id, workspace_id, owner_id, agent_id, persona_id, title_sealed, version, created_at, updated_at)
    VALUES ($4, $2, $3, $1, $7, $8, 1, $9, $9)
)
INSERT INTO agents (id, workspace_id, owner_id, name, kind, persona_id, conversation_id, state, version, created_at, updated_at)
VALUES ($1, $2, $3, $5, $6, $7, $4, 'ready', 1, $9, $9)
RETURNING id, workspace_id, owner_id, name, kind, persona_id, conversation_id, state, version, created_at, updated_at";

const FIND: &str = "
SELECT id, workspace_id, owner_id, name, kind, persona_id, conversation_id, state, version, created_at, updated_at
FROM agents WHERE workspace_id = $1 AND owner_id = $2 AND id = $3";

const FIND_LOCKED: &str = "
SELECT id, workspace_id, owner_id, name, kind, persona_id, conversation_id, state, version, created_at, updated_at
FROM agents WHERE workspace_id = $1 AND owner_id = $2 AND id = $3 FOR UPDATE";

pub(crate) const LIST: &str = "
SELECT id, workspace_id, owner_id, name, kind, persona_id, conversation_id, state, version, created_at, updated_at
FROM agents WHERE workspace_id = $1 AND owner_id = $2 AND id < $3
ORDER BY id DESC LIMIT $4";

const SET_STATE: &str = "
UPDATE agents SET state = $4, version = version + 1, updated_at = $5
WHERE workspace_id = $1 AND owner_id = $2 AND id = $3
RETURNING id, workspace_id, owner_id, name, kind, persona_id, conversation_id, state, version, created_at, updated_at";

pub(crate) const METRICS: &str = "
SELECT count(*), count(*) FILTER (WHERE succeeded),
       least(coalesce(sum(input_tokens), 0), 9223372036854775807)::bigint,
       least(coalesce(sum(output_tokens), 0), 9223372036854775807)::bigint,
       least(coalesce(sum(cached_tokens), 0), 9223372036854775807)::bigint,
       least(coalesce(sum(cost_nano), 0), 9223372036854775807)::bigint,
       avg(elapsed_ms) FILTER (WHERE succeeded)::bigint, max(settled_at)
FROM usage WHERE workspace_id = $1 AND agent_id = $2 AND status <> 'reserved'";

impl Agents {
    /// Makes an agent of the caller together with the conversation that holds its work.
    ///
    /// # Errors
    /// `Conflict("name")` when a living agent of the caller has the name;
    /// `NotFound` when the persona is not of the workspace.
    pub async fn create(&self, call: &Call, new: &NewAgent) -> Result<Agent, DbError> {
        let now = self.0.now();
        let (id, conversation) = (AgentId::at(now), ConversationId::at(now));
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let sealer = self.0.sealer(&conn, workspace, owner).await?;
                let title = new.name.as_str().as_bytes();
                let row = conn
                    .query_one(
                        INSERT,
                        &[
                            &id.uuid(),
                            &workspace,
                            &owner,
                            &conversation.uuid(),
                            &new.name.as_str(),
                            &new.kind.0.as_str(),
                            &new.persona_id.map(PersonaId::uuid),
                            &sealer.seal(TITLE, conversation.uuid(), title)?,
                            &now,
                        ],
                    )
                    .await?;
                let created = agent(&row)?;
                trail(&conn, call, now, &created, "agent.created", json!({})).await?;
                Ok(created)
            })
            .await
    }

    /// An agent of the caller.
    ///
    /// # Errors
    /// `NotFound`, also when it is somebody else's.
    pub async fn find(&self, call: &Call, id: AgentId) -> Result<Agent, DbError> {
        self.0
            .run(call, |conn| async move {
                agent(
                    &conn
                        .query_one(FIND, &[&call.workspace(), &call.user(), &id.uuid()])
                        .await?,
                )
            })
            .await
    }

    /// The caller's agents, newest first, terminated ones too.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(&self, call: &Call, page: PageRequest) -> Result<Page<Agent>, DbError> {
        let agents = self
            .0
            .run(call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let rows = conn
                    .query(LIST, &[&workspace, &owner, &page.ceiling(), &page.rows()])
                    .await?;
                rows.iter().map(agent).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(Page::of(agents, page, |agent| agent.id.uuid()))
    }

    /// Takes a step of an agent's lifecycle. `reason` is for the audit log and
    /// must not hold personal data.
    ///
    /// # Errors
    /// `NotFound`; `Refused` when its state does not allow the step.
    pub async fn transition(
        &self,
        call: &Call,
        id: AgentId,
        action: AgentAction,
        force: bool,
        reason: Option<&str>,
    ) -> Result<Agent, DbError> {
        let kind = match action {
            AgentAction::Pause => "agent.paused",
            AgentAction::Resume => "agent.resumed",
            AgentAction::Terminate => "agent.terminated",
            AgentAction::Reset => "agent.reset",
        };
        let details = json!({"force": force, "reason": reason});
        let details = &details;
        self.change(call, id, kind, details, |from| {
            Ok(from.after(action, force)?)
        })
        .await
    }

    /// Puts a ready agent to work.
    ///
    /// # Errors
    /// `NotFound`; `Conflict("state")` when it is not ready.
    pub async fn set_busy(&self, call: &Call, id: AgentId) -> Result<Agent, DbError> {
        self.change(call, id, "agent.busy", &json!({}), |from| match from {
            AgentState::Ready => Ok(AgentState::Busy),
            _ => Err(DbError::Conflict("state").into()),
        })
        .await
    }

    /// Ends an agent's work: it is ready again, or in error when the work failed.
    /// An agent that was forced out of its work meanwhile is left as it is.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn finish(
        &self,
        call: &Call,
        id: AgentId,
        succeeded: bool,
    ) -> Result<Agent, DbError> {
        let details = json!({"succeeded": succeeded});
        self.change(call, id, "agent.finished", &details, |from| {
            Ok(match (from, succeeded) {
                (AgentState::Busy, true) => AgentState::Ready,
                (AgentState::Busy, false) => AgentState::Error,
                (other, _) => other,
            })
        })
        .await
    }

    async fn change(
        &self,
        call: &Call,
        id: AgentId,
        action: &'static str,
        details: &Value,
        after: impl Fn(AgentState) -> Result<AgentState, Failure> + Send + Sync,
    ) -> Result<Agent, DbError> {
        let now = self.0.now();
        let after = &after;
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let row = conn
                    .query_one(FIND_LOCKED, &[&workspace, &owner, &id.uuid()])
                    .await?;
                let before = agent(&row)?;
                let state = after(before.state)?;
                if state == before.state {
                    return Ok(before);
                }
                let row = conn
                    .query_one(
                        SET_STATE,
                        &[&workspace, &owner, &id.uuid(), &state.as_str(), &now],
                    )
                    .await?;
                let changed = agent(&row)?;
                trail(&conn, call, now, &changed, action, details.clone()).await?;
                Ok(changed)
            })
            .await
    }

    /// What an agent of the caller has done.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn metrics(&self, call: &Call, id: AgentId) -> Result<AgentMetrics, DbError> {
        self.0
            .run(call, |conn| async move {
                let (workspace, owner, id) = (call.workspace(), call.user(), id.uuid());
                conn.query_one(FIND, &[&workspace, &owner, &id]).await?;
                let row = conn.query_one(METRICS, &[&workspace, &id]).await?;
                Ok(AgentMetrics {
                    requests: count(row.try_get(0)?),
                    succeeded: count(row.try_get(1)?),
                    tokens: Tokens {
                        input: count(row.try_get(2)?),
                        output: count(row.try_get(3)?),
                        cached: count(row.try_get(4)?),
                    },
                    cost_usd: usd(row.try_get(5)?),
                    average_elapsed_ms: row.try_get::<_, Option<i64>>(6)?.map(count),
                    last_activity: row.try_get(7)?,
                })
            })
            .await
    }
}

async fn trail(
    conn: &Conn,
    call: &Call,
    now: Timestamp,
    agent: &Agent,
    action: &'static str,
    mut details: Value,
) -> Result<(), Failure> {
    details["state"] = json!(agent.state);
    conn.record(
        Actor::of(call, now),
        Entry {
            action,
            target_type: "agent",
            target: Some(agent.id.uuid()),
            details,
            event: Some(Event {
                topic: format!("agent.{}", agent.id),
                kind: action,
                payload: json!({"agent_id": agent.id, "owner_id": agent.owner_id, "state": agent.state}),
            }),
        },
    )
    .await
}

fn agent(row: &Row) -> Result<Agent, Failure> {
    let corrupt = |_| DbError::Corrupt("agents");
    Ok(Agent {
        id: row.try_get::<_, Uuid>(0)?.into(),
        workspace_id: row.try_get::<_, Uuid>(1)?.into(),
        owner_id: row.try_get::<_, Uuid>(2)?.into(),
        name: Name::parse(row.try_get(3)?).map_err(corrupt)?,
        kind: AgentKind(Name::parse(row.try_get(4)?).map_err(corrupt)?),
        persona_id: row.try_get::<_, Option<Uuid>>(5)?.map(Into::into),
        conversation_id: row.try_get::<_, Uuid>(6)?.into(),
        state: parse(row.try_get(7)?)?,
        version: row.try_get(8)?,
        created_at: row.try_get(9)?,
        updated_at: row.try_get(10)?,
    })
}
