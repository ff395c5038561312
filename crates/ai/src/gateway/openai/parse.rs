//! From a chat-completions body to our own form.

use serde_json::Value;

use super::super::GatewayRequest;
use crate::request::{
    ChatRequest, Content, Effort, ImageSource, Message, OutputSchema, Role, Tool, ToolCall,
    ToolChoice,
};

/// The field that cannot be said otherwise.
type Untranslatable = String;

/// What the other dialect demands and this one does not.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// Fields that change what is asked and have no counterpart.
const REFUSED: [&str; 7] = [
    "functions",
    "function_call",
    "audio",
    "logprobs",
    "top_logprobs",
    "prediction",
    "web_search_options",
];

pub(crate) fn to_chat(request: &GatewayRequest) -> Result<ChatRequest, Untranslatable> {
    for field in REFUSED {
        if request
            .field(field)
            .is_some_and(|value| value != Value::Bool(false))
        {
            return Err(field.to_owned());
        }
    }
    if request.field("n").is_some_and(|n| n != 1) {
        return Err("n".to_owned());
    }
    let messages = request.field("messages").unwrap_or_default();
    let (mut system, mut turns) = (Vec::new(), Vec::new());
    for (i, message) in messages.as_array().into_iter().flatten().enumerate() {
        read_message(message, &format!("messages[{i}]"), &mut system, &mut turns)?;
    }
    let most = request.max_output_tokens().unwrap_or(DEFAULT_MAX_TOKENS);
    Ok(ChatRequest {
        model: request.model().to_owned(),
        system: (!system.is_empty()).then(|| system.join("\n\n")),
        messages: turns,
        max_tokens: u32::try_from(most).unwrap_or(u32::MAX),
        temperature: request
            .field("temperature")
            .and_then(|value| value.as_f64())
            .map(|value| value as f32),
        stop: stops(request.field("stop")),
        tools: tools(request.field("tools"))?,
        tool_choice: request
            .field("tool_choice")
            .map(|choice| tool_choice(&choice))
            .transpose()?,
        output_schema: request
            .field("response_format")
            .map_or(Ok(None), |format| schema(&format))?,
        effort: request
            .field("reasoning_effort")
            .and_then(|effort| match effort.as_str()? {
                "none" | "minimal" | "low" => Some(Effort::Low),
                "medium" => Some(Effort::Medium),
                _ => Some(Effort::High),
            }),
        cache_prefix: false,
        user_id: ["safety_identifier", "user"]
            .into_iter()
            .find_map(|field| request.field(field)?.as_str().map(str::to_owned)),
    })
}

fn read_message(
    message: &Value,
    at: &str,
    system: &mut Vec<String>,
    turns: &mut Vec<Message>,
) -> Result<(), Untranslatable> {
    let content = &message["content"];
    match message["role"].as_str() {
        Some("system" | "developer") => system.push(plain_text(content, at)?),
        Some("user") => push(turns, Role::User, parts(content, at)?),
        Some("assistant") => {
            let mut said = if content.is_null() {
                Vec::new()
            } else {
                parts(content, at)?
            };
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                said.push(Content::ToolCall(ToolCall {
                    id: text(&call["id"]),
                    name: text(&call["function"]["name"]),
                    arguments: text(&call["function"]["arguments"]),
                }));
            }
            push(turns, Role::Assistant, said);
        }
        Some("tool") => {
            let result = Content::ToolResult {
                call_id: text(&message["tool_call_id"]),
                content: plain_text(content, at)?,
                is_error: false,
            };
            push(turns, Role::User, vec![result]);
        }
        _ => return Err(format!("{at}.role")),
    }
    Ok(())
}

/// Turns of one speaker become one: each tool result is a message here, and
/// the other dialect wants all results of a turn together.
fn push(turns: &mut Vec<Message>, role: Role, content: Vec<Content>) {
    if content.is_empty() {
        return;
    }
    match turns.last_mut() {
        Some(last) if last.role == role => last.content.extend(content),
        _ => turns.push(Message { role, content }),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn plain_text(content: &Value, at: &str) -> Result<String, Untranslatable> {
    parts(content, at)?
        .into_iter()
        .map(|part| match part {
            Content::Text(text) => Ok(text),
            _ => Err(format!("{at}.content")),
        })
        .collect()
}

fn parts(content: &Value, at: &str) -> Result<Vec<Content>, Untranslatable> {
    if let Value::String(text) = content {
        let some = (!text.is_empty()).then(|| Content::Text(text.clone()));
        return Ok(some.into_iter().collect());
    }
    let Value::Array(parts) = content else {
        return Err(format!("{at}.content"));
    };
    parts
        .iter()
        .enumerate()
        .map(|(i, part)| match part["type"].as_str() {
            Some("text") => Ok(Content::Text(text(&part["text"]))),
            Some("refusal") => Ok(Content::Text(text(&part["refusal"]))),
            Some("image_url") => Ok(Content::Image(image(&text(&part["image_url"]["url"])))),
            _ => Err(format!("{at}.content[{i}]")),
        })
        .collect()
}

fn image(url: &str) -> ImageSource {
    let inline = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"));
    match inline {
        Some((media_type, data)) => ImageSource::Base64 {
            media_type: media_type.to_owned(),
            data: data.to_owned(),
        },
        None => ImageSource::Url(url.to_owned()),
    }
}

fn stops(stop: Option<Value>) -> Vec<String> {
    match stop {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().map(text).collect(),
        _ => Vec::new(),
    }
}

fn tools(tools: Option<Value>) -> Result<Vec<Tool>, Untranslatable> {
    let tools = tools.unwrap_or_default();
    let tools = tools.as_array().into_iter().flatten();
    tools
        .enumerate()
        .map(|(i, tool)| {
            if tool["type"] != "function" {
                return Err(format!("tools[{i}].type"));
            }
            let function = &tool["function"];
            let no_parameters = || serde_json::json!({"type": "object", "properties": {}});
            Ok(Tool {
                name: text(&function["name"]),
                description: text(&function["description"]),
                parameters: function
                    .get("parameters")
                    .cloned()
                    .unwrap_or_else(no_parameters),
            })
        })
        .collect()
}

fn tool_choice(choice: &Value) -> Result<ToolChoice, Untranslatable> {
    match choice.as_str() {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some("required") => Ok(ToolChoice::Any),
        _ => {
            let name = choice["function"]["name"].as_str();
            name.map(|name| ToolChoice::Named(name.to_owned()))
                .ok_or_else(|| "tool_choice".to_owned())
        }
    }
}

fn schema(format: &Value) -> Result<Option<OutputSchema>, Untranslatable> {
    match format["type"].as_str() {
        Some("text") => Ok(None),
        Some("json_schema") => Ok(Some(OutputSchema {
            name: text(&format["json_schema"]["name"]),
            schema: format["json_schema"]["schema"].clone(),
        })),
        _ => Err("response_format".to_owned()),
    }
}
