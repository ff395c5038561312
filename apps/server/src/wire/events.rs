//! The steps of an answer as server-sent events.

use super::{DecisionBody, Dollars, DoneBody, TokensBody};
use crate::{
    problem::{Code, Problem},
    sse::Event,
};
use mainstay_domain::CorrelationId;
use mainstay_orchestrator::{AnswerEvent, Failure};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

#[derive(Serialize)]
struct Delta<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Done {
    id: Uuid,
    #[serde(flatten)]
    about: DoneBody,
}

/// One step as an event.
pub(crate) fn sse_event(
    id: Option<String>,
    step: AnswerEvent,
    correlation_id: CorrelationId,
) -> Event {
    match step {
        AnswerEvent::Start { message_id, run_id } => Event::json(
            id,
            "start",
            &json!({"message_id": message_id, "run_id": run_id}),
        ),
        AnswerEvent::Delta(text) => Event::json(id, "delta", &Delta { text: &text }),
        AnswerEvent::Decision(decision) => {
            Event::json(id, "decision", &DecisionBody::from(decision))
        }
        AnswerEvent::Usage { tokens, cost_usd } => Event::json(
            id,
            "usage",
            &json!({
                "usage": TokensBody::from(tokens),
                "cost_usd": cost_usd.map(Dollars::from),
            }),
        ),
        AnswerEvent::Reset => Event::json(id, "reset", &json!({})),
        AnswerEvent::Done(answer) => Event::json(
            id,
            "done",
            &Done {
                id: answer.id,
                about: DoneBody::from(*answer),
            },
        ),
        AnswerEvent::Failed(failure) => {
            Event::json(id, "error", &failed(failure).wire(correlation_id.uuid()))
        }
    }
}

/// A failure inside a stream as the problem that it would have been before.
pub(crate) fn failed(failure: Failure) -> Problem {
    let code = Code::ALL
        .into_iter()
        .find(|code| code.as_str() == failure.code)
        .unwrap_or(Code::Internal);
    Problem::new(code, failure.detail)
}
