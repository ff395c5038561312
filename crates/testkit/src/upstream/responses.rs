//! OpenAI Responses as the vendor speaks them.

use serde_json::{Value, json};

use super::fault::Fault;
use super::openai;
use super::plan::{Event, Reply};
use super::prompt;
use super::script::{Answer, Orders};

/// `POST /v1/responses`
pub(super) fn responses(body: &Value, orders: &mut Orders) -> Reply {
    let has_input = match &body["input"] {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if !has_input || body["model"].as_str().is_none_or(str::is_empty) {
        let message = "'model' and 'input' are required";
        return openai::error(400, "invalid_request_error", None, message, orders.serial);
    }
    let response = Response::new(body, orders);
    let reply = if body["stream"].as_bool().unwrap_or_default() {
        Reply::events(response.events())
    } else {
        Reply::whole(200, &response.whole())
    };
    reply.header("x-request-id", prompt::id("req_", orders.serial, 32))
}

/// The items as chat messages, which is what the made-up answers are made of.
fn as_messages(body: &Value) -> Value {
    match &body["input"] {
        Value::String(text) => json!({"messages": [{"role": "user", "content": text}]}),
        items => json!({"messages": items}),
    }
}

struct Response {
    id: String,
    model: Value,
    answer: Answer,
    is_cut: bool,
    input_tokens: u64,
    output_tokens: u64,
    tells_usage: bool,
}

impl Response {
    fn new(body: &Value, orders: &mut Orders) -> Self {
        let messages = as_messages(body);
        let kept = usize::try_from(body["max_output_tokens"].as_u64().unwrap_or(u64::MAX))
            .unwrap_or(usize::MAX)
            .saturating_mul(4);
        let mut is_cut = false;
        let (answer, output_tokens) =
            match prompt::answer(&messages, orders.answer.take(), &orders.fault) {
                Answer::Text(text) => {
                    let cut = (kept..text.len()).find(|at| text.is_char_boundary(*at));
                    is_cut = cut.is_some();
                    let text = text[..cut.unwrap_or(text.len())].to_owned();
                    let tokens = prompt::tokens(text.len());
                    (Answer::Text(text), tokens)
                }
                Answer::ToolCall { tool, arguments } => {
                    let tokens = prompt::tokens(arguments.len()) + 20;
                    (Answer::ToolCall { tool, arguments }, tokens)
                }
            };
        Self {
            id: prompt::id("resp_", orders.serial, 48),
            model: body["model"].clone(),
            answer,
            is_cut,
            input_tokens: prompt::prompt_tokens(&messages),
            output_tokens,
            tells_usage: orders.fault != Fault::NoUsage,
        }
    }

    fn item(&self, is_done: bool) -> Value {
        let status = if is_done { "completed" } else { "in_progress" };
        match &self.answer {
            Answer::Text(text) => {
                let part =
                    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
                let content = if is_done { vec![part] } else { Vec::new() };
                json!({
                    "id": format!("msg_{}", &self.id[5..]),
                    "type": "message",
                    "status": status,
                    "role": "assistant",
                    "content": content,
                })
            }
            Answer::ToolCall { tool, arguments } => json!({
                "id": format!("fc_{}", &self.id[5..]),
                "type": "function_call",
                "status": status,
                "call_id": prompt::id("call_", self.input_tokens, 24),
                "name": tool,
                "arguments": if is_done { arguments.as_str() } else { "" },
            }),
        }
    }

    fn state(&self, status: &str, output: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": "response",
            "created_at": openai::CREATED,
            "status": status,
            "error": null,
            "incomplete_details": null,
            "model": self.model,
            "output": output,
            "parallel_tool_calls": true,
            "tool_choice": "auto",
            "tools": [],
            "usage": null,
        })
    }

    fn whole(&self) -> Value {
        let status = if self.is_cut {
            "incomplete"
        } else {
            "completed"
        };
        let mut whole = self.state(status, vec![self.item(true)]);
        if self.is_cut {
            whole["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        if self.tells_usage {
            whole["usage"] = json!({
                "input_tokens": self.input_tokens,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": self.output_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": self.input_tokens + self.output_tokens,
            });
        }
        whole
    }

    fn events(&self) -> Vec<Event> {
        let mut frames = Frames::default();
        let begun = self.state("in_progress", Vec::new());
        frames.push("response.created", json!({"response": begun}));
        frames.push("response.in_progress", json!({"response": begun}));
        frames.push(
            "response.output_item.added",
            json!({"output_index": 0, "item": self.item(false)}),
        );
        let place = json!({"item_id": self.item(false)["id"], "output_index": 0});
        match &self.answer {
            Answer::Text(text) => {
                let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
                let at =
                    |extra: Value| merged(&merged(&place, &json!({"content_index": 0})), &extra);
                frames.push("response.content_part.added", at(json!({"part": part("")})));
                for piece in prompt::pieces(text) {
                    frames.push_text(
                        "response.output_text.delta",
                        at(json!({"delta": piece, "logprobs": []})),
                    );
                }
                frames.push(
                    "response.output_text.done",
                    at(json!({"text": text, "logprobs": []})),
                );
                frames.push(
                    "response.content_part.done",
                    at(json!({"part": part(text)})),
                );
            }
            Answer::ToolCall { tool, arguments } => {
                for piece in prompt::pieces(arguments) {
                    let data = merged(&place, &json!({"delta": piece}));
                    frames.push_text("response.function_call_arguments.delta", data);
                }
                let done = merged(&place, &json!({"name": tool, "arguments": arguments}));
                frames.push("response.function_call_arguments.done", done);
            }
        }
        frames.push(
            "response.output_item.done",
            json!({"output_index": 0, "item": self.item(true)}),
        );
        let end = if self.is_cut {
            "response.incomplete"
        } else {
            "response.completed"
        };
        frames.push(end, json!({"response": self.whole()}));
        frames.ended()
    }
}

fn merged(a: &Value, b: &Value) -> Value {
    let mut both = a.clone();
    for (name, value) in b.as_object().into_iter().flatten() {
        both[name] = value.clone();
    }
    both
}

/// Events with the numbers that they carry.
#[derive(Default)]
struct Frames(Vec<Event>);

impl Frames {
    fn push(&mut self, name: &str, data: Value) {
        let event = event(name, data, self.0.len());
        self.0.push(event);
    }

    fn push_text(&mut self, name: &str, data: Value) {
        let event = event(name, data, self.0.len()).text();
        self.0.push(event);
    }

    /// The last event is the end mark.
    fn ended(mut self) -> Vec<Event> {
        let last = self.0.pop().map(Event::end);
        self.0.extend(last);
        self.0
    }
}

fn event(name: &str, mut data: Value, number: usize) -> Event {
    data["type"] = json!(name);
    data["sequence_number"] = json!(number);
    Event::new(format!("event: {name}\ndata: {data}\n\n"))
}

/// The event by which a stream says that it failed.
pub(super) fn error_event(kind: &str) -> Event {
    event(
        "error",
        json!({"code": kind, "message": "Scripted failure", "param": null}),
        0,
    )
}
