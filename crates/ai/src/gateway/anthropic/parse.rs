//! From a Messages body to our own form.

use serde_json::Value;

use super::super::GatewayRequest;
use crate::request::{
    ChatRequest, Content, Effort, ImageSource, Message, OutputSchema, Role, Tool, ToolCall,
    ToolChoice,
};

/// The field that cannot be said otherwise.
type Untranslatable = String;

/// Fields that change what is asked and have no counterpart.
const REFUSED: [&str; 2] = ["container", "mcp_servers"];

pub(crate) fn to_chat(request: &GatewayRequest) -> Result<ChatRequest, Untranslatable> {
    for field in REFUSED {
        if request.field(field).is_some() {
            return Err(field.to_owned());
        }
    }
    let messages = request.field("messages").unwrap_or_default();
    let turns = messages
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(i, message)| turn(message, &format!("messages[{i}]")))
        .collect::<Result<Vec<_>, _>>()?;
    let system = match request.field("system") {
        Some(system) => Some(plain_text(&system, "system")?),
        None => None,
    };
    let config = request.field("output_config").unwrap_or_default();
    let caches = ["system", "messages", "tools", "cache_control"]
        .iter()
        .filter_map(|field| request.field(field))
        .any(|value| mentions_cache(&value));
    Ok(ChatRequest {
        model: request.model().to_owned(),
        system,
        messages: turns,
        max_tokens: u32::try_from(request.max_output_tokens().unwrap_or(4096)).unwrap_or(u32::MAX),
        temperature: request
            .field("temperature")
            .and_then(|value| value.as_f64())
            .map(|value| value as f32),
        stop: request
            .field("stop_sequences")
            .and_then(|stops| serde_json::from_value(stops).ok())
            .unwrap_or_default(),
        tools: tools(request.field("tools"))?,
        tool_choice: request
            .field("tool_choice")
            .map(|choice| tool_choice(&choice))
            .transpose()?,
        output_schema: schema(&config["format"])?,
        effort: config["effort"].as_str().map(|effort| match effort {
            "low" => Effort::Low,
            "medium" => Effort::Medium,
            _ => Effort::High,
        }),
        cache_prefix: caches,
        user_id: request
            .field("metadata")
            .and_then(|metadata| metadata["user_id"].as_str().map(str::to_owned)),
    })
}

fn mentions_cache(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields
                .get("cache_control")
                .is_some_and(|mark| !mark.is_null())
                || fields.values().any(mentions_cache)
        }
        Value::Array(items) => items.iter().any(mentions_cache),
        _ => false,
    }
}

fn turn(message: &Value, at: &str) -> Result<Message, Untranslatable> {
    let role = match message["role"].as_str() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => return Err(format!("{at}.role")),
    };
    let content = match &message["content"] {
        Value::String(text) => vec![Content::Text(text.clone())],
        Value::Array(blocks) => blocks
            .iter()
            .enumerate()
            .filter_map(|(i, block)| part(block, &format!("{at}.content[{i}]")).transpose())
            .collect::<Result<Vec<_>, _>>()?,
        _ => return Err(format!("{at}.content")),
    };
    Ok(Message { role, content })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn part(block: &Value, at: &str) -> Result<Option<Content>, Untranslatable> {
    Ok(Some(match block["type"].as_str() {
        Some("text") => Content::Text(text(&block["text"])),
        Some("image") => Content::Image(image(&block["source"], at)?),
        Some("tool_use") => Content::ToolCall(ToolCall {
            id: text(&block["id"]),
            name: text(&block["name"]),
            arguments: block["input"].to_string(),
        }),
        Some("tool_result") => Content::ToolResult {
            call_id: text(&block["tool_use_id"]),
            content: if block["content"].is_null() {
                String::new()
            } else {
                plain_text(&block["content"], at)?
            },
            is_error: block["is_error"].as_bool().unwrap_or_default(),
        },
        // Signed by the provider that thought them; nobody else can use them.
        Some("thinking" | "redacted_thinking") => return Ok(None),
        _ => return Err(at.to_owned()),
    }))
}

fn image(source: &Value, at: &str) -> Result<ImageSource, Untranslatable> {
    match source["type"].as_str() {
        Some("base64") => Ok(ImageSource::Base64 {
            media_type: text(&source["media_type"]),
            data: text(&source["data"]),
        }),
        Some("url") => Ok(ImageSource::Url(text(&source["url"]))),
        _ => Err(format!("{at}.source")),
    }
}

/// A string, or blocks that are all text.
fn plain_text(content: &Value, at: &str) -> Result<String, Untranslatable> {
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Array(blocks) => blocks
            .iter()
            .map(|block| match block["type"].as_str() {
                Some("text") => Ok(text(&block["text"])),
                _ => Err(format!("{at}.content")),
            })
            .collect::<Result<Vec<_>, _>>()
            .map(|texts| texts.join("\n")),
        _ => Err(at.to_owned()),
    }
}

fn tools(tools: Option<Value>) -> Result<Vec<Tool>, Untranslatable> {
    let tools = tools.unwrap_or_default();
    let tools = tools.as_array().into_iter().flatten();
    tools
        .enumerate()
        .map(|(i, tool)| {
            // A tool that the provider itself runs has a type and no schema.
            let schema = tool
                .get("input_schema")
                .ok_or_else(|| format!("tools[{i}]"))?;
            Ok(Tool {
                name: text(&tool["name"]),
                description: text(&tool["description"]),
                parameters: schema.clone(),
            })
        })
        .collect()
}

fn tool_choice(choice: &Value) -> Result<ToolChoice, Untranslatable> {
    match choice["type"].as_str() {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some("any") => Ok(ToolChoice::Any),
        Some("tool") => Ok(ToolChoice::Named(text(&choice["name"]))),
        _ => Err("tool_choice".to_owned()),
    }
}

fn schema(format: &Value) -> Result<Option<OutputSchema>, Untranslatable> {
    match format["type"].as_str() {
        None => Ok(None),
        Some("json_schema") => Ok(Some(OutputSchema {
            name: "answer".to_owned(),
            schema: format["schema"].clone(),
        })),
        Some(_) => Err("output_config.format".to_owned()),
    }
}
