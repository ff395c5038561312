//! A request as Responses want it.

use serde::Serialize;

use super::super::Quirks;
use crate::request::{ChatRequest, Content, Effort, ImageSource, Message, Role, ToolChoice};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    input: Vec<Item<'a>>,
    max_output_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_identifier: Option<&'a str>,
    /// Conversations belong to our caller, not to the provider.
    store: bool,
    stream: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message {
        role: Role,
        content: Vec<Part<'a>>,
    },
    FunctionCall {
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
    FunctionCallOutput {
        call_id: &'a str,
        output: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    InputText { text: &'a str },
    OutputText { text: &'a str },
    InputImage { image_url: String },
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a serde_json::Value,
    strict: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireToolChoice<'a> {
    Word(&'static str),
    Named { r#type: &'static str, name: &'a str },
}

#[derive(Serialize)]
struct Text<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    name: &'a str,
    schema: &'a serde_json::Value,
    strict: bool,
}

#[derive(Serialize)]
struct Reasoning {
    effort: Effort,
}

pub(crate) fn encode(
    request: &ChatRequest,
    model: &str,
    stream: bool,
    quirks: Quirks,
) -> serde_json::Result<Vec<u8>> {
    let tools = request.tools.iter().map(|tool| Tool {
        r#type: "function",
        name: &tool.name,
        description: &tool.description,
        parameters: &tool.parameters,
        strict: false,
    });
    serde_json::to_vec(&Body {
        model,
        instructions: request.system.as_deref(),
        input: request.messages.iter().flat_map(items).collect(),
        max_output_tokens: request.max_tokens,
        temperature: request.temperature.filter(|_| quirks.sampling),
        tools: tools.collect(),
        tool_choice: request.tool_choice.as_ref().map(choice),
        text: request.output_schema.as_ref().map(|shape| Text {
            format: Format {
                r#type: "json_schema",
                name: &shape.name,
                schema: &shape.schema,
                strict: true,
            },
        }),
        reasoning: request.effort.map(|effort| Reasoning { effort }),
        safety_identifier: request.user_id.as_deref(),
        store: false,
        stream,
    })
}

/// A turn of ours is a list of items of theirs: calls and results stand beside
/// the messages, not in them.
fn items(message: &Message) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    for content in &message.content {
        match content {
            Content::ToolCall(call) => items.push(Item::FunctionCall {
                call_id: &call.id,
                name: &call.name,
                arguments: &call.arguments,
            }),
            Content::ToolResult {
                call_id, content, ..
            } => items.push(Item::FunctionCallOutput {
                call_id,
                output: content,
            }),
            Content::Text(_) | Content::Image(_) => {
                let part = part(message.role, content);
                match items.last_mut() {
                    Some(Item::Message { content, .. }) => content.extend(part),
                    _ => items.push(Item::Message {
                        role: message.role,
                        content: part.into_iter().collect(),
                    }),
                }
            }
        }
    }
    items
}

fn part(role: Role, content: &Content) -> Option<Part<'_>> {
    match (content, role) {
        (Content::Text(text), Role::User) => Some(Part::InputText { text }),
        (Content::Text(text), Role::Assistant) => Some(Part::OutputText { text }),
        (Content::Image(source), Role::User) => Some(Part::InputImage {
            image_url: match source {
                ImageSource::Base64 { media_type, data } => {
                    format!("data:{media_type};base64,{data}")
                }
                ImageSource::Url(url) => url.clone(),
            },
        }),
        _ => None,
    }
}

fn choice(choice: &ToolChoice) -> WireToolChoice<'_> {
    match choice {
        ToolChoice::Auto => WireToolChoice::Word("auto"),
        ToolChoice::None => WireToolChoice::Word("none"),
        ToolChoice::Any => WireToolChoice::Word("required"),
        ToolChoice::Named(name) => WireToolChoice::Named {
            r#type: "function",
            name,
        },
    }
}
