//! POST `/api/v1/ai/execute`.

use crate::{
    exchange::Exchange,
    extract::ApiJson,
    operation::{Access, Operation},
    problem::Problem,
    reply::{Json, Reply as _},
    sse,
    wire::{self, AnswerBody},
};
use actix_web::{
    HttpResponse,
    http::{Method, StatusCode},
};
use futures_util::stream;
use mainstay_domain::Prompt;
use mainstay_identity::Permission;
use mainstay_orchestrator::{Ask, ExecutionStream, Orchestrator};
use mainstay_persistence::Call;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

/// A question.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecuteRequest {
    /// The question, 1 to 100,000 characters.
    #[garde(length(chars, min = 1, max = 100_000))]
    pub prompt: String,
    /// The persona that answers; without one, the plain assistant.
    #[garde(skip)]
    pub persona_id: Option<Uuid>,
    /// Several personas that answer together; the first one leads.
    #[garde(length(min = 1, max = 5))]
    pub persona_ids: Option<Vec<Uuid>>,
    /// How several personas answer. Default `combined`; of no consequence for one.
    #[garde(skip)]
    #[serde(default)]
    pub mode: Mode,
    /// Text that the answer shall take into account.
    #[garde(length(chars, min = 1, max = 100_000))]
    pub context: Option<String>,
    /// Whether a stored answer may serve, and this one be stored. Default true.
    #[garde(skip)]
    #[serde(default = "yes")]
    pub use_cache: bool,
    /// Whether the answer is streamed as server-sent events. Default false.
    #[garde(skip)]
    #[serde(default)]
    pub stream: bool,
    /// The most that it may cost, below the workspace's own ceiling, such as `"0.05"`.
    #[garde(length(max = 24))]
    pub max_cost_usd: Option<String>,
}

/// How several personas answer one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// One answer, written once, that takes all of them into account; the
    /// first one chooses the model.
    #[default]
    Combined,
}

const fn yes() -> bool {
    true
}

impl ExecuteRequest {
    /// The question as the use case takes it.
    pub(crate) fn into_ask(self, traceparent: Option<String>) -> Result<Ask, Problem> {
        // The one way there is; another one would be told apart here.
        let Mode::Combined = self.mode;
        let prompt = |pointer: &'static str, text: String| {
            Prompt::parse(text).map_err(|error| Problem::field(pointer, error.to_string()))
        };
        let persona_ids = match (self.persona_id, self.persona_ids) {
            (Some(_), Some(_)) => {
                return Err(Problem::field(
                    "/persona_ids",
                    "cannot stand beside persona_id; send one of the two",
                ));
            }
            (Some(one), None) => vec![one],
            (None, several) => several.unwrap_or_default(),
        };
        Ok(Ask {
            prompt: prompt("/prompt", self.prompt)?,
            persona_ids: persona_ids.into_iter().map(Into::into).collect(),
            context: self
                .context
                .map(|text| prompt("/context", text))
                .transpose()?,
            use_cache: self.use_cache,
            max_cost: self
                .max_cost_usd
                .map(|text| wire::dollars("/max_cost_usd", &text))
                .transpose()?,
            traceparent,
        })
    }
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/ai/execute",
        "ai.execute",
        Access::Requires(Permission::Execute),
        execute,
    )
    .summary("Ask one question and get one answer")
    .description(
        "The answer comes from the nearest cache that has it, else from a model, else from the \
         knowledge base, else it is a fixed text; `provenance` says which, and `degraded` whether \
         it is less than what was asked for. With `stream: true` it comes as server-sent events: \
         `start`, `delta`, `decision`, `usage`, `reset`, and at last `done` or `error`. \
         Leaving cancels the work.",
    )
    .answers::<AnswerBody>(StatusCode::OK)
    .answers_text(StatusCode::OK, "text/event-stream")
    .idempotent()
}

async fn execute(
    exchange: Exchange,
    call: Call,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<ExecuteRequest>,
) -> Result<HttpResponse, Problem> {
    let streams = body.stream;
    let ask = body.into_ask(exchange.traceparent())?;
    if streams {
        let answer = orchestrator.execute_stream(&call, &ask).await?;
        return Ok(sse::respond(&exchange.http, events(answer, &exchange)));
    }
    let answer = orchestrator.execute(&call, &ask).await?;
    Ok(Json(AnswerBody::from(answer)).respond())
}

/// The steps of an answer as events, numbered from 1.
fn events(
    answer: ExecutionStream,
    exchange: &Exchange,
) -> impl futures_util::Stream<Item = sse::Event> + use<> {
    let correlation_id = exchange.known.correlation_id;
    stream::unfold((answer, 1_u64), move |(mut answer, number)| async move {
        let step = answer.next().await?;
        let event = wire::sse_event(Some(number.to_string()), step, correlation_id);
        Some((event, (answer, number + 1)))
    })
}
