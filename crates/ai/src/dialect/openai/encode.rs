//! A request as chat completions want it.

use serde::Serialize;

use super::super::Quirks;
use crate::config::MaxTokensField;
use crate::request::{ChatRequest, Content, Effort, ImageSource, Message, Role, Tool, ToolChoice};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_identifier: Option<&'a str>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum Turn<'a> {
    System {
        content: &'a str,
    },
    User {
        content: UserContent<'a>,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireToolCall<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

/// Plain text is sent as a string: not every server knows the list form.
#[derive(Serialize)]
#[serde(untagged)]
enum UserContent<'a> {
    Text(String),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
struct WireToolCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: CalledFunction<'a>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct WireTool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a serde_json::Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireToolChoice<'a> {
    Word(&'static str),
    Named {
        r#type: &'static str,
        function: Name<'a>,
    },
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct ResponseFormat<'a> {
    r#type: &'static str,
    json_schema: JsonSchema<'a>,
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    name: &'a str,
    schema: &'a serde_json::Value,
    strict: bool,
}

pub(crate) fn encode(
    request: &ChatRequest,
    model: &str,
    stream: bool,
    quirks: Quirks,
) -> serde_json::Result<Vec<u8>> {
    let mut messages: Vec<Turn> = request
        .system
        .as_deref()
        .map(|content| Turn::System { content })
        .into_iter()
        .collect();
    for message in &request.messages {
        push_turns(message, &mut messages);
    }
    let limit = |field| (quirks.max_tokens_field == field).then_some(request.max_tokens);
    serde_json::to_vec(&Body {
        model,
        messages,
        max_tokens: limit(MaxTokensField::MaxTokens),
        max_completion_tokens: limit(MaxTokensField::MaxCompletionTokens),
        temperature: request.temperature.filter(|_| quirks.sampling),
        stop: &request.stop,
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: request.tool_choice.as_ref().map(choice),
        response_format: request.output_schema.as_ref().map(|shape| ResponseFormat {
            r#type: "json_schema",
            json_schema: JsonSchema {
                name: &shape.name,
                schema: &shape.schema,
                strict: true,
            },
        }),
        reasoning_effort: request.effort,
        safety_identifier: request.user_id.as_deref(),
        stream,
        stream_options: stream.then_some(StreamOptions {
            include_usage: true,
        }),
    })
}

/// One turn of ours can be several of theirs: each tool result is a message.
fn push_turns<'a>(message: &'a Message, turns: &mut Vec<Turn<'a>>) {
    for part in &message.content {
        if let Content::ToolResult {
            call_id, content, ..
        } = part
        {
            turns.push(Turn::Tool {
                tool_call_id: call_id,
                content,
            });
        }
    }
    match message.role {
        Role::User => turns.extend(user_content(message).map(|content| Turn::User { content })),
        Role::Assistant => {
            let text = message.text();
            turns.push(Turn::Assistant {
                content: (!text.is_empty()).then_some(text),
                tool_calls: message.content.iter().filter_map(called).collect(),
            });
        }
    }
}

fn user_content(message: &Message) -> Option<UserContent<'_>> {
    let has_image = message
        .content
        .iter()
        .any(|part| matches!(part, Content::Image(_)));
    if has_image {
        return Some(UserContent::Parts(
            message.content.iter().filter_map(part).collect(),
        ));
    }
    let text = message.text();
    let only_results = message
        .content
        .iter()
        .all(|part| matches!(part, Content::ToolResult { .. }));
    (!only_results).then_some(UserContent::Text(text))
}

fn part(content: &Content) -> Option<Part<'_>> {
    match content {
        Content::Text(text) => Some(Part::Text { text }),
        Content::Image(source) => Some(Part::ImageUrl {
            image_url: ImageUrl {
                url: match source {
                    ImageSource::Base64 { media_type, data } => {
                        format!("data:{media_type};base64,{data}")
                    }
                    ImageSource::Url(url) => url.clone(),
                },
            },
        }),
        Content::ToolCall(_) | Content::ToolResult { .. } => None,
    }
}

fn called(content: &Content) -> Option<WireToolCall<'_>> {
    let Content::ToolCall(call) = content else {
        return None;
    };
    Some(WireToolCall {
        id: &call.id,
        r#type: "function",
        function: CalledFunction {
            name: &call.name,
            arguments: &call.arguments,
        },
    })
}

fn tool(tool: &Tool) -> WireTool<'_> {
    WireTool {
        r#type: "function",
        function: Function {
            name: &tool.name,
            description: &tool.description,
            parameters: &tool.parameters,
        },
    }
}

fn choice(choice: &ToolChoice) -> WireToolChoice<'_> {
    match choice {
        ToolChoice::Auto => WireToolChoice::Word("auto"),
        ToolChoice::None => WireToolChoice::Word("none"),
        ToolChoice::Any => WireToolChoice::Word("required"),
        ToolChoice::Named(name) => WireToolChoice::Named {
            r#type: "function",
            function: Name { name },
        },
    }
}
