//! OpenAI chat completions and embeddings as the vendor speaks them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fault::Fault;
use super::plan::{Event, Reply};
use super::prompt;
use super::script::{Answer, Orders};

/// When every scripted completion was made.
pub(super) const CREATED: u64 = 1_790_000_000;

/// The models it lists; it answers to any name.
const MODELS: [&str; 3] = ["gpt-6-sol", "gpt-6-luna", "text-embedding-3-small"];

/// An error in the dialect's shape.
pub(super) fn error(
    status: u16,
    kind: &str,
    code: Option<&str>,
    message: &str,
    serial: u64,
) -> Reply {
    Reply::whole(
        status,
        &json!({"error": {"message": message, "type": kind, "param": null, "code": code}}),
    )
    .header("x-request-id", prompt::id("req_", serial, 32))
}

/// The error of a scripted status.
pub(super) fn scripted_error(status: u16, serial: u64) -> Reply {
    let (kind, code, message) = match status {
        400 => ("invalid_request_error", None, "The request is not valid."),
        401 => (
            "invalid_request_error",
            Some("invalid_api_key"),
            "Incorrect API key provided.",
        ),
        402 => (
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota.",
        ),
        403 => (
            "invalid_request_error",
            Some("unsupported_country_region_territory"),
            "Not allowed.",
        ),
        404 => (
            "invalid_request_error",
            Some("model_not_found"),
            "The model does not exist.",
        ),
        429 => (
            "requests",
            Some("rate_limit_exceeded"),
            "Rate limit reached.",
        ),
        503 => (
            "service_unavailable_error",
            None,
            "The engine is currently overloaded.",
        ),
        _ => ("server_error", None, "The server had an error."),
    };
    error(status, kind, code, message, serial)
}

/// `POST /v1/chat/completions`
pub(super) fn chat_completions(body: &Value, orders: &mut Orders) -> Reply {
    let missing = if body["model"].as_str().is_none_or(str::is_empty) {
        Some("you must provide a model parameter")
    } else if body["messages"].as_array().is_none_or(Vec::is_empty) {
        Some("'messages' must be a non-empty array")
    } else {
        None
    };
    if let Some(message) = missing {
        return error(400, "invalid_request_error", None, message, orders.serial);
    }
    let completion = Completion::new(body, orders);
    let reply = if body["stream"].as_bool().unwrap_or_default() {
        let include_usage = body["stream_options"]["include_usage"]
            .as_bool()
            .unwrap_or_default();
        Reply::events(completion.events(include_usage && completion.tells_usage))
    } else {
        Reply::whole(200, &completion.whole())
    };
    reply
        .header("x-request-id", prompt::id("req_", orders.serial, 32))
        .header("openai-processing-ms", "12".to_owned())
}

struct Completion {
    id: String,
    model: Value,
    answer: Answer,
    finish_reason: &'static str,
    prompt_tokens: u64,
    completion_tokens: u64,
    tells_usage: bool,
}

impl Completion {
    fn new(body: &Value, orders: &mut Orders) -> Self {
        let most = body["max_completion_tokens"]
            .as_u64()
            .or(body["max_tokens"].as_u64());
        let kept = usize::try_from(most.unwrap_or(u64::MAX))
            .unwrap_or(usize::MAX)
            .saturating_mul(4);
        let (answer, finish_reason, completion_tokens) =
            match prompt::answer(body, orders.answer.take(), &orders.fault) {
                Answer::Text(text) => {
                    let cut = (kept..text.len()).find(|at| text.is_char_boundary(*at));
                    let reason = if cut.is_some() { "length" } else { "stop" };
                    let text = text[..cut.unwrap_or(text.len())].to_owned();
                    let tokens = prompt::tokens(text.len());
                    (Answer::Text(text), reason, tokens)
                }
                Answer::ToolCall { tool, arguments } => {
                    let tokens = prompt::tokens(arguments.len()) + 20;
                    (Answer::ToolCall { tool, arguments }, "tool_calls", tokens)
                }
            };
        Self {
            id: prompt::id("chatcmpl-", orders.serial, 29),
            model: body["model"].clone(),
            answer,
            finish_reason,
            prompt_tokens: prompt::prompt_tokens(body),
            completion_tokens,
            tells_usage: orders.fault != Fault::NoUsage,
        }
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        })
    }

    fn call_id(&self) -> String {
        prompt::id("call_", self.prompt_tokens, 24)
    }

    fn whole(&self) -> Value {
        let message = match &self.answer {
            Answer::Text(text) => json!({"role": "assistant", "content": text, "refusal": null}),
            Answer::ToolCall { tool, arguments } => json!({
                "role": "assistant",
                "content": null,
                "refusal": null,
                "tool_calls": [{
                    "id": self.call_id(),
                    "type": "function",
                    "function": {"name": tool, "arguments": arguments},
                }],
            }),
        };
        let mut whole = json!({
            "id": self.id,
            "object": "chat.completion",
            "created": CREATED,
            "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": self.finish_reason}],
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
        });
        if self.tells_usage {
            whole["usage"] = self.usage();
        }
        whole
    }

    fn events(&self, include_usage: bool) -> Vec<Event> {
        let mut events = Vec::new();
        match &self.answer {
            Answer::Text(text) => {
                let role = json!({"role": "assistant", "content": "", "refusal": null});
                events.push(self.delta(&role, Value::Null, include_usage));
                for piece in prompt::pieces(text) {
                    let delta = json!({"content": piece});
                    events.push(self.delta(&delta, Value::Null, include_usage).text());
                }
            }
            Answer::ToolCall { tool, arguments } => {
                let call = json!({
                    "index": 0,
                    "id": self.call_id(),
                    "type": "function",
                    "function": {"name": tool, "arguments": ""},
                });
                let role = json!({"role": "assistant", "content": null, "tool_calls": [call]});
                events.push(self.delta(&role, Value::Null, include_usage));
                for piece in prompt::pieces(arguments) {
                    let delta =
                        json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
                    events.push(self.delta(&delta, Value::Null, include_usage).text());
                }
            }
        }
        events.push(self.delta(&json!({}), json!(self.finish_reason), include_usage));
        if include_usage {
            let mut last = self.chunk(&json!([]));
            last["usage"] = self.usage();
            events.push(event(&last));
        }
        events.push(Event::new("data: [DONE]\n\n".to_owned()).end());
        events
    }

    fn chunk(&self, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
            "choices": choices,
        })
    }

    /// With `include_usage` the vendor writes `usage: null` into every chunk.
    fn delta(&self, delta: &Value, finish_reason: Value, include_usage: bool) -> Event {
        let choice =
            json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        let mut chunk = self.chunk(&json!([choice]));
        if include_usage {
            chunk["usage"] = Value::Null;
        }
        event(&chunk)
    }
}

fn event(data: &Value) -> Event {
    Event::new(format!("data: {data}\n\n"))
}

/// The event by which a stream says that it failed.
pub(super) fn error_event(kind: &str) -> Event {
    event(
        &json!({"error": {"message": "Scripted failure", "type": kind, "param": null, "code": null}}),
    )
}

/// `POST /v1/embeddings`
pub(super) fn embeddings(body: &Value, serial: u64) -> Reply {
    let inputs: Vec<String> = match &body["input"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map_or_else(|| item.to_string(), str::to_owned)
            })
            .collect(),
        _ => Vec::new(),
    };
    if inputs.is_empty() || body["model"].as_str().is_none_or(str::is_empty) {
        return error(
            400,
            "invalid_request_error",
            None,
            "'input' and 'model' are required",
            serial,
        );
    }
    let dimensions = body["dimensions"].as_u64().unwrap_or(1536).clamp(1, 4096) as usize;
    let as_base64 = body["encoding_format"] == "base64";
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = embedding(input, dimensions);
            let embedding = if as_base64 {
                let bytes: Vec<u8> = vector
                    .iter()
                    .flat_map(|number| number.to_le_bytes())
                    .collect();
                json!(STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: u64 = inputs.iter().map(|input| prompt::tokens(input.len())).sum();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Reply::whole(
        200,
        &json!({"object": "list", "data": data, "model": body["model"], "usage": usage}),
    )
    .header("x-request-id", prompt::id("req_", serial, 32))
}

/// A vector of length one that follows from the words of the text, so that
/// texts with words in common lie closer together.
fn embedding(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; dimensions];
    for word in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        let mut state = word
            .to_lowercase()
            .bytes()
            .fold(0, |state, byte| prompt::splitmix(state ^ u64::from(byte)));
        for number in &mut vector {
            state = prompt::splitmix(state);
            *number += (state % 2001) as f32 / 1000.0 - 1.0;
        }
    }
    let length = vector
        .iter()
        .map(|number| number * number)
        .sum::<f32>()
        .sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|number| *number /= length);
    } else {
        vector[0] = 1.0;
    }
    vector
}

/// `GET /v1/models`
pub(super) fn models() -> Reply {
    let data: Vec<Value> = MODELS
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "scripted"}))
        .collect();
    Reply::whole(200, &json!({"object": "list", "data": data}))
}
