//! `ask` over a WebSocket: an answer's steps as frames.

use super::frames::ToClient;
use crate::wire::{DecisionBody, Dollars, DoneBody, TokensBody};
use jiff::Timestamp;
use mainstay_orchestrator::{AnswerEvent, ExecutionStream, Failure, Watched};
use mainstay_realtime::Outbox;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a question of its own is worked on after its connection has gone.
/// Its deadline ends most of them long before.
const UNWATCHED: Duration = Duration::from_secs(300);

/// Where the steps of an answer are handed to.
pub(super) struct Told {
    pub outbox: Outbox<ToClient>,
    pub reply_to: Option<String>,
}

/// Follows a run of a conversation until it ends or the connection takes no
/// more. The run itself goes on without us.
pub(super) async fn follow_run(
    run_id: Uuid,
    mut watched: Watched,
    told: Told,
    now: impl Fn() -> Timestamp,
) {
    let Told { outbox, reply_to } = told;
    while let Some((seq, step)) = watched.next().await {
        let frame = frame(step, run_id, seq, &now().to_string(), reply_to.as_deref());
        if outbox.data(frame).is_err() {
            return;
        }
    }
}

/// Follows the answer to a question of its own until it ends or is cancelled.
/// Dropping the stream would end the work, so it is read on for a while after
/// the connection has gone: what was paid for is recorded and found again.
pub(super) async fn follow(
    mut answer: ExecutionStream,
    told: Told,
    cancelled: CancellationToken,
    now: impl Fn() -> Timestamp,
) {
    let Told { outbox, reply_to } = told;
    let run_id = answer.id;
    let mut seq = 0;
    let unwatched = async {
        outbox.closed().await;
        tokio::time::sleep(UNWATCHED).await;
    };
    tokio::pin!(unwatched);
    loop {
        let step = tokio::select! {
            step = answer.next() => step,
            () = &mut unwatched => return,
            () = cancelled.cancelled() => {
                let failure = json!({"run_id": run_id, "code": "CANCELLED", "detail": "the run was cancelled", "retryable": false});
                let _ = outbox.data(ToClient::reply("error", &now().to_string(), &failure, reply_to.as_deref()));
                return;
            }
        };
        let Some(step) = step else { return };
        seq += 1;
        let frame = frame(step, run_id, seq, &now().to_string(), reply_to.as_deref());
        // Refused once the connection has gone, and then nobody reads it.
        let _ = outbox.data(frame);
    }
}

fn frame(
    step: AnswerEvent,
    run_id: Uuid,
    seq: u64,
    timestamp: &str,
    reply_to: Option<&str>,
) -> ToClient {
    let (kind, data) = match step {
        AnswerEvent::Delta(text) => {
            return ToClient::Delta {
                run_id,
                seq,
                text,
                timestamp: timestamp.to_owned(),
            };
        }
        AnswerEvent::Start { message_id, run_id } => (
            "started",
            json!({"run_id": run_id, "message_id": message_id}),
        ),
        AnswerEvent::Decision(decision) => (
            "decision",
            json!({"run_id": run_id, "seq": seq, "decision": DecisionBody::from(decision)}),
        ),
        AnswerEvent::Usage { tokens, cost_usd } => (
            "usage",
            json!({
                "run_id": run_id,
                "seq": seq,
                "usage": TokensBody::from(tokens),
                "cost_usd": cost_usd.map(Dollars::from),
            }),
        ),
        AnswerEvent::Reset => ("reset", json!({"run_id": run_id, "seq": seq})),
        AnswerEvent::Done(answer) => (
            "done",
            done(run_id, seq, answer.id, DoneBody::from(*answer)),
        ),
        AnswerEvent::Failed(failure) => ("error", failed(Some(run_id), &failure)),
    };
    ToClient::reply(kind, timestamp, &data, reply_to)
}

fn done(run_id: Uuid, seq: u64, id: Uuid, about: DoneBody) -> Value {
    let mut data = serde_json::to_value(about).unwrap_or_default();
    if let Some(fields) = data.as_object_mut() {
        fields.insert("run_id".to_owned(), json!(run_id));
        fields.insert("seq".to_owned(), json!(seq));
        fields.insert("id".to_owned(), json!(id));
    }
    data
}

/// A failure as frames tell it.
pub(super) fn failed(run_id: Option<Uuid>, failure: &Failure) -> Value {
    json!({
        "run_id": run_id,
        "code": failure.code,
        "detail": failure.detail,
        "retryable": failure.retryable,
    })
}
