//! Anthropic Messages as the vendor speaks it.

use serde_json::{Value, json};

use super::fault::Fault;
use super::plan::{Event, Reply};
use super::prompt;
use super::script::{Answer, Orders};

/// From this version on sampling settings are refused.
const WITHOUT_SAMPLING: &str = "2026-10-21";

/// The models it lists; it answers to any name.
const MODELS: [&str; 3] = ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"];

/// An error in the dialect's shape.
pub(super) fn error(status: u16, kind: &str, message: &str, serial: u64) -> Reply {
    let request_id = prompt::id("req_", serial, 24);
    Reply::whole(
        status,
        &json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}),
    )
    .header("request-id", request_id)
}

/// The error of a scripted status.
pub(super) fn scripted_error(status: u16, serial: u64) -> Reply {
    let (kind, message) = match status {
        400 => ("invalid_request_error", "The request is not valid."),
        401 => ("authentication_error", "invalid x-api-key"),
        402 => ("billing_error", "Your credit balance is too low."),
        403 => ("permission_error", "Your API key may not do this."),
        404 => ("not_found_error", "model: not found"),
        413 => ("request_too_large", "Request exceeds the maximum size."),
        429 => (
            "rate_limit_error",
            "This request would exceed your rate limit.",
        ),
        504 => ("timeout_error", "The request timed out."),
        529 => ("overloaded_error", "Overloaded"),
        _ => ("api_error", "Internal server error"),
    };
    error(status, kind, message, serial)
}

/// What the vendor would refuse.
fn refuse(version: Option<&str>, body: &Value) -> Option<&'static str> {
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Some("model: Field required");
    }
    if body["max_tokens"].as_u64().is_none_or(|most| most == 0) {
        return Some("max_tokens: Field required");
    }
    if body["messages"].as_array().is_none_or(Vec::is_empty) {
        return Some("messages: at least one message is required");
    }
    match version {
        None => Some("anthropic-version: header is required"),
        Some(version) if version >= WITHOUT_SAMPLING && !body["temperature"].is_null() => {
            Some("temperature: is not supported by this version")
        }
        Some(_) => None,
    }
}

/// `POST /v1/messages`
pub(super) fn messages(version: Option<&str>, body: &Value, orders: &mut Orders) -> Reply {
    if let Some(message) = refuse(version, body) {
        return error(400, "invalid_request_error", message, orders.serial);
    }
    let answer = prompt::answer(body, orders.answer.take(), &orders.fault);
    let most = body["max_tokens"].as_u64().unwrap_or(u64::MAX);
    let message = Message::new(body, answer, most, orders);
    let reply = if body["stream"].as_bool().unwrap_or_default() {
        Reply::events(message.events())
    } else {
        Reply::whole(200, &message.whole())
    };
    reply
        .header("request-id", prompt::id("req_", orders.serial, 24))
        .header(
            "anthropic-organization-id",
            "00000000-0000-4000-8000-000000000000".to_owned(),
        )
}

struct Message {
    id: String,
    model: Value,
    answer: Answer,
    stop_reason: &'static str,
    input_tokens: u64,
    output_tokens: u64,
    tells_usage: bool,
}

impl Message {
    fn new(body: &Value, answer: Answer, most: u64, orders: &Orders) -> Self {
        let (answer, stop_reason, output_tokens) = match answer {
            Answer::Text(text) => {
                let kept = (most as usize).saturating_mul(4);
                let cut = (kept..text.len()).find(|at| text.is_char_boundary(*at));
                let reason = if cut.is_some() {
                    "max_tokens"
                } else {
                    "end_turn"
                };
                let text = text[..cut.unwrap_or(text.len())].to_owned();
                let tokens = prompt::tokens(text.len());
                (Answer::Text(text), reason, tokens)
            }
            Answer::ToolCall { tool, arguments } => {
                let tokens = prompt::tokens(arguments.len()) + 20;
                (Answer::ToolCall { tool, arguments }, "tool_use", tokens)
            }
        };
        Self {
            id: prompt::id("msg_01", orders.serial, 22),
            model: body["model"].clone(),
            answer,
            stop_reason,
            input_tokens: prompt::prompt_tokens(body),
            output_tokens,
            tells_usage: orders.fault != Fault::NoUsage,
        }
    }

    fn usage(&self, output_tokens: u64) -> Value {
        if !self.tells_usage {
            return Value::Null;
        }
        json!({
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output_tokens,
            "service_tier": "standard",
        })
    }

    fn block(&self) -> Value {
        match &self.answer {
            Answer::Text(text) => json!({"type": "text", "text": text}),
            Answer::ToolCall { tool, arguments } => json!({
                "type": "tool_use",
                "id": prompt::id("toolu_01", self.input_tokens, 22),
                "name": tool,
                "input": serde_json::from_str::<Value>(arguments).unwrap_or_default(),
            }),
        }
    }

    fn whole(&self) -> Value {
        json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [self.block()],
            "stop_reason": self.stop_reason,
            "stop_sequence": null,
            "usage": self.usage(self.output_tokens),
        })
    }

    fn events(&self) -> Vec<Event> {
        let mut start = self.whole();
        start["content"] = json!([]);
        start["stop_reason"] = Value::Null;
        start["usage"] = self.usage(1);
        let mut empty_block = self.block();
        let deltas: Vec<Value> = match &self.answer {
            Answer::Text(text) => {
                empty_block["text"] = json!("");
                let pieces = prompt::pieces(text).into_iter();
                pieces
                    .map(|piece| json!({"type": "text_delta", "text": piece}))
                    .collect()
            }
            Answer::ToolCall { arguments, .. } => {
                empty_block["input"] = json!({});
                let pieces = prompt::pieces(arguments).into_iter();
                pieces
                    .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                    .collect()
            }
        };
        let mut events = vec![
            event("message_start", json!({"message": start})),
            event(
                "content_block_start",
                json!({"index": 0, "content_block": empty_block}),
            ),
            event("ping", json!({})),
        ];
        for delta in deltas {
            events.push(event("content_block_delta", json!({"index": 0, "delta": delta})).text());
        }
        let mut end = json!({"delta": {"stop_reason": self.stop_reason, "stop_sequence": null}});
        if self.tells_usage {
            end["usage"] = json!({"output_tokens": self.output_tokens});
        }
        events.push(event("content_block_stop", json!({"index": 0})));
        events.push(event("message_delta", end));
        events.push(event("message_stop", json!({})).end());
        events
    }
}

fn event(name: &str, mut data: Value) -> Event {
    data["type"] = json!(name);
    Event::new(format!("event: {name}\ndata: {data}\n\n"))
}

/// The event by which a stream says that it failed.
pub(super) fn error_event(kind: &str) -> Event {
    event(
        "error",
        json!({"error": {"type": kind, "message": "Scripted failure"}}),
    )
}

/// `POST /v1/messages/count_tokens`
pub(super) fn count_tokens(body: &Value) -> Reply {
    Reply::whole(200, &json!({"input_tokens": prompt::prompt_tokens(body)}))
}

/// `GET /v1/models` for who sends `anthropic-version`.
pub(super) fn models() -> Reply {
    let data: Vec<Value> = MODELS
        .iter()
        .map(|id| json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-10-01T00:00:00Z"}))
        .collect();
    Reply::whole(
        200,
        &json!({"data": data, "has_more": false, "first_id": MODELS[0], "last_id": MODELS[MODELS.len() - 1]}),
    )
}
