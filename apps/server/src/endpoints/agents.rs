//! Agents: durable owners of conversations.

use crate::{
    endpoints::conversations::{
        MessageBody,
        say::{SayRequest, answer},
    },
    exchange::Exchange,
    extract::{ApiJson, ApiPath, ApiQuery},
    operation::{Access, Operation},
    problem::Problem,
    reply::{Created, Json, NoContent, Page},
    wire::{self, Dollars, ListQuery, TokensBody},
};
use actix_web::{
    HttpResponse,
    http::{Method, StatusCode},
};
use jiff::Timestamp;
use mainstay_domain::{Agent, AgentAction, AgentId, AgentKind, AgentState, Name};
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::{Agents, Call, DbError, Messages, NewAgent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const READS: Access = Access::Requires(Permission::ReadAgents);
const WRITES: Access = Access::Requires(Permission::WriteAgents);

/// An agent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Agent")]
pub(crate) struct AgentBody {
    /// Its id.
    id: Uuid,
    /// Its name, unique among its owner's living agents.
    name: String,
    /// What it is for.
    kind: String,
    /// The persona that it speaks as.
    persona_id: Option<Uuid>,
    /// The conversation that holds its work.
    conversation_id: Uuid,
    /// `ready`, `busy`, `paused`, `error` or `terminated`.
    state: &'static str,
    /// Counts its changes from 1.
    version: i32,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<Agent> for AgentBody {
    fn from(agent: Agent) -> Self {
        Self {
            id: agent.id.uuid(),
            name: agent.name.into(),
            kind: agent.kind.0.into(),
            persona_id: agent.persona_id.map(mainstay_domain::PersonaId::uuid),
            conversation_id: agent.conversation_id.uuid(),
            state: agent.state.as_str(),
            version: agent.version,
            created_at: agent.created_at,
            updated_at: agent.updated_at,
        }
    }
}

/// An agent to make.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAgentRequest {
    /// Its name.
    #[garde(length(chars, min = 1, max = 120))]
    name: String,
    /// What it is for, such as `code_assistant`.
    #[garde(length(chars, min = 1, max = 120))]
    kind: String,
    /// The persona that it speaks as.
    #[garde(skip)]
    persona_id: Option<Uuid>,
}

/// A step of an agent's life.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Take no more work.
    Pause,
    /// Take work again.
    Resume,
    /// End for good.
    Terminate,
    /// Leave an error behind.
    Reset,
}

/// What to do with an agent.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActionRequest {
    /// The step.
    #[garde(skip)]
    action: Step,
    /// Why; kept in the audit log.
    #[garde(length(chars, max = 500))]
    reason: Option<String>,
    /// Also while it works; its unfinished work is then lost to it.
    #[garde(skip)]
    #[serde(default)]
    force: bool,
}

/// What an agent has done.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgentMetrics")]
pub(crate) struct MetricsBody {
    /// How often it was asked.
    requests: u64,
    /// How often it answered.
    succeeded: u64,
    /// Tokens of all its answers.
    usage: TokensBody,
    /// What they cost.
    cost_usd: Dollars,
    /// The average time of an answer in milliseconds; null before the first.
    average_elapsed_ms: Option<u64>,
    /// When it last worked.
    last_activity: Option<Timestamp>,
}

/// The area's operations.
pub(crate) fn operations() -> Vec<Operation> {
    let (all, one) = ("/api/v1/agents", "/api/v1/agents/{id}");
    vec![
        Operation::new(Method::GET, all, "agents.list", READS, list).summary("One's own agents"),
        Operation::new(Method::POST, all, "agents.create", WRITES, create)
            .summary("Make an agent with a conversation of its own")
            .idempotent(),
        Operation::new(Method::GET, one, "agents.get", READS, get).summary("One agent"),
        Operation::new(Method::DELETE, one, "agents.terminate", WRITES, terminate)
            .summary("End an agent for good")
            .description("Its history stays readable. Busy agents are stopped first."),
        Operation::new(
            Method::POST,
            "/api/v1/agents/{id}/actions",
            "agents.act",
            WRITES,
            act,
        )
        .summary("Pause, resume, terminate or reset an agent"),
        Operation::new(
            Method::POST,
            "/api/v1/agents/{id}/execute",
            "agents.execute",
            WRITES,
            execute,
        )
        .summary("Give an agent work")
        .description("As saying something in its conversation; only a ready agent takes work.")
        .answers::<MessageBody>(StatusCode::CREATED)
        .answers_text(StatusCode::OK, "text/event-stream")
        .idempotent(),
        Operation::new(
            Method::GET,
            "/api/v1/agents/{id}/interactions",
            "agents.interactions",
            READS,
            interactions,
        )
        .summary("What was said to an agent and what it answered"),
        Operation::new(
            Method::GET,
            "/api/v1/agents/{id}/metrics",
            "agents.metrics",
            READS,
            metrics,
        )
        .summary("What an agent has done and cost"),
    ]
}

async fn list(
    call: Call,
    agents: Agents,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Page<AgentBody>>, Problem> {
    Ok(Json(wire::page(
        agents.list(&call, query.request()?).await?,
    )))
}

async fn create(
    call: Call,
    agents: Agents,
    ApiJson(body): ApiJson<NewAgentRequest>,
) -> Result<Created<AgentBody>, Problem> {
    let name = |pointer: &'static str, text: &str| {
        Name::parse(text).map_err(|error| Problem::field(pointer, error.to_string()))
    };
    let new = NewAgent {
        name: name("/name", &body.name)?,
        kind: AgentKind(name("/kind", &body.kind)?),
        persona_id: body.persona_id.map(Into::into),
    };
    let made = agents.create(&call, &new).await;
    let agent = made.map_err(|error| match error {
        // The persona is the only thing that a new agent refers to.
        DbError::NotFound => Problem::field("/persona_id", "is not a persona of this workspace"),
        other => other.into(),
    })?;
    Ok(Created(agent.into()))
}

async fn get(
    call: Call,
    agents: Agents,
    ApiPath(id): ApiPath<AgentId>,
) -> Result<Json<AgentBody>, Problem> {
    Ok(Json(agents.find(&call, id).await?.into()))
}

async fn terminate(
    call: Call,
    (agents, orchestrator): (Agents, Orchestrator),
    ApiPath(id): ApiPath<AgentId>,
) -> Result<NoContent, Problem> {
    // Ending it twice is no error.
    if agents.find(&call, id).await?.state != AgentState::Terminated {
        orchestrator
            .direct(&call, id, AgentAction::Terminate, true, None)
            .await?;
    }
    Ok(NoContent)
}

async fn act(
    call: Call,
    orchestrator: Orchestrator,
    ApiPath(id): ApiPath<AgentId>,
    ApiJson(body): ApiJson<ActionRequest>,
) -> Result<Json<AgentBody>, Problem> {
    let action = match body.action {
        Step::Pause => AgentAction::Pause,
        Step::Resume => AgentAction::Resume,
        Step::Terminate => AgentAction::Terminate,
        Step::Reset => AgentAction::Reset,
    };
    let agent = orchestrator
        .direct(&call, id, action, body.force, body.reason.as_deref())
        .await?;
    Ok(Json(agent.into()))
}

async fn execute(
    exchange: Exchange,
    (orchestrator, messages): (Orchestrator, Messages),
    call: Call,
    ApiPath(id): ApiPath<AgentId>,
    ApiJson(body): ApiJson<SayRequest>,
) -> Result<HttpResponse, Problem> {
    let said = orchestrator
        .instruct(&call, id, &body.into_saying(exchange.traceparent())?)
        .await?;
    answer(&exchange, &call, &messages, said).await
}

async fn interactions(
    call: Call,
    (agents, messages): (Agents, Messages),
    ApiPath(id): ApiPath<AgentId>,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Page<MessageBody>>, Problem> {
    let agent = agents.find(&call, id).await?;
    let page = messages
        .list(&call, agent.conversation_id, query.request()?)
        .await?;
    Ok(Json(wire::page(page)))
}

async fn metrics(
    call: Call,
    agents: Agents,
    ApiPath(id): ApiPath<AgentId>,
) -> Result<Json<MetricsBody>, Problem> {
    let metrics = agents.metrics(&call, id).await?;
    Ok(Json(MetricsBody {
        requests: metrics.requests,
        succeeded: metrics.succeeded,
        usage: metrics.tokens.into(),
        cost_usd: metrics.cost_usd.into(),
        average_elapsed_ms: metrics.average_elapsed_ms,
        last_activity: metrics.last_activity,
    }))
}
