//! A request as Anthropic Messages wants it.

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::Quirks;
use crate::request::{ChatRequest, Content, Effort, ImageSource, Message, Role, Tool, ToolChoice};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Part<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    stream: bool,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: Role,
    content: Vec<Part<'a>>,
}

#[derive(Serialize)]
struct Part<'a> {
    #[serde(flatten)]
    what: What<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum What<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: &'a str,
        is_error: bool,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

#[derive(Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum CacheControl {
    Ephemeral,
}

#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a serde_json::Value,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireToolChoice<'a> {
    Auto,
    None,
    Any,
    Tool { name: &'a str },
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonSchema { schema: &'a serde_json::Value },
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

pub(crate) fn encode(
    request: &ChatRequest,
    model: &str,
    stream: bool,
    quirks: Quirks,
) -> serde_json::Result<Vec<u8>> {
    let mut messages = request
        .messages
        .iter()
        .map(turn)
        .collect::<serde_json::Result<Vec<_>>>()?;
    let mut system: Vec<Part> = request.system.as_deref().map(text).into_iter().collect();
    if request.cache_prefix {
        // Two marks: the instructions alone are shared by conversations, the
        // last message by the next turn of this one.
        let last = messages.last_mut().and_then(|turn| turn.content.last_mut());
        for part in system.last_mut().into_iter().chain(last) {
            part.cache_control = Some(CacheControl::Ephemeral);
        }
    }
    let output = OutputConfig {
        effort: request.effort,
        format: request
            .output_schema
            .as_ref()
            .map(|shape| Format::JsonSchema {
                schema: &shape.schema,
            }),
    };
    serde_json::to_vec(&Body {
        model,
        max_tokens: request.max_tokens,
        system,
        messages,
        temperature: request
            .temperature
            .filter(|_| quirks.sampling)
            .map(|temperature| temperature.min(1.0)),
        stop_sequences: &request.stop,
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: request.tool_choice.as_ref().map(choice),
        output_config: (output.effort.is_some() || output.format.is_some()).then_some(output),
        metadata: request
            .user_id
            .as_deref()
            .map(|user_id| Metadata { user_id }),
        stream,
    })
}

fn turn(message: &Message) -> serde_json::Result<Turn<'_>> {
    Ok(Turn {
        role: message.role,
        content: message
            .content
            .iter()
            .map(part)
            .collect::<serde_json::Result<_>>()?,
    })
}

fn text(text: &str) -> Part<'_> {
    plain(What::Text { text })
}

fn plain(what: What<'_>) -> Part<'_> {
    Part {
        what,
        cache_control: None,
    }
}

fn part(content: &Content) -> serde_json::Result<Part<'_>> {
    Ok(plain(match content {
        Content::Text(text) => What::Text { text },
        Content::Image(ImageSource::Base64 { media_type, data }) => What::Image {
            source: Source::Base64 { media_type, data },
        },
        Content::Image(ImageSource::Url(url)) => What::Image {
            source: Source::Url { url },
        },
        Content::ToolCall(call) => What::ToolUse {
            id: &call.id,
            name: &call.name,
            input: RawValue::from_string(arguments(&call.arguments))?,
        },
        Content::ToolResult {
            call_id,
            content,
            is_error,
        } => What::ToolResult {
            tool_use_id: call_id,
            content,
            is_error: *is_error,
        },
    }))
}

/// A model that calls a tool without arguments may write nothing at all.
fn arguments(json: &str) -> String {
    if json.trim().is_empty() {
        "{}".to_owned()
    } else {
        json.to_owned()
    }
}

fn tool(tool: &Tool) -> WireTool<'_> {
    WireTool {
        name: &tool.name,
        description: &tool.description,
        input_schema: &tool.parameters,
    }
}

fn choice(choice: &ToolChoice) -> WireToolChoice<'_> {
    match choice {
        ToolChoice::Auto => WireToolChoice::Auto,
        ToolChoice::None => WireToolChoice::None,
        ToolChoice::Any => WireToolChoice::Any,
        ToolChoice::Named(name) => WireToolChoice::Tool { name },
    }
}
