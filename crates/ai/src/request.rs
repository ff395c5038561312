//! What is asked of a model, in a form that belongs to no provider.

use serde::{Deserialize, Serialize};

use crate::error::{AiError, ErrorKind};

/// Who speaks in a [`Message`]. Instructions stand in [`ChatRequest::system`], not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person, or the program acting for them (tool results included).
    User,
    /// The model.
    Assistant,
}

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImageSource {
    /// The bytes themselves, base64 encoded (standard alphabet, padded).
    Base64 {
        /// For example `image/png`.
        media_type: String,
        /// The encoded bytes.
        data: String,
    },
    /// An address that the provider fetches.
    Url(String),
}

/// A tool the model decided to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The provider's id of this call; the result refers to it.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// The arguments as JSON text, exactly as the model wrote them. A model may
    /// write text that is not JSON: the caller parses it, and answers an error
    /// result when it does not parse.
    pub arguments: String,
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Plain text.
    Text(String),
    /// A picture; only the user may send one.
    Image(ImageSource),
    /// A tool call that the model made earlier in this conversation.
    ToolCall(ToolCall),
    /// What a tool answered; the user's side sends it.
    ToolResult {
        /// The id of the [`ToolCall`] that this answers.
        call_id: String,
        /// What the tool said.
        content: String,
        /// True when the tool failed. The chat-completions dialect has no such
        /// mark, so there the text alone has to say it.
        is_error: bool,
    },
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub content: Vec<Content>,
}

impl Message {
    /// A turn of the user that is nothing but text.
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: vec![Content::Text(text.into())],
        }
    }

    /// A turn of the model that is nothing but text.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self {
            role: Role::Assistant,
            content: vec![Content::Text(text.into())],
        }
    }

    /// The text parts of this turn, joined.
    pub fn text(&self) -> String {
        self.content
            .iter()
            .filter_map(|part| match part {
                Content::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// A tool the model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// The name the model uses.
    pub name: String,
    /// What it does and when to use it, for the model.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: serde_json::Value,
}

/// Whether and which tool the model has to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// The model must not call a tool.
    None,
    /// The model must call some tool.
    Any,
    /// The model must call this tool.
    Named(String),
}

/// How much a reasoning model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// Quick and cheap.
    Low,
    /// In between.
    Medium,
    /// Thorough and dear.
    High,
}

/// A shape that the answer's text has to take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputSchema {
    /// A short name for the shape; some dialects demand one.
    pub name: String,
    /// JSON Schema of the answer.
    pub schema: serde_json::Value,
}

/// One question to a model.
///
/// ```
/// use mainstay_ai::{ChatRequest, Message};
///
/// let request = ChatRequest {
///     system: Some("Answer in one sentence.".into()),
///     messages: vec![Message::user("Why is the sky blue?")],
///     max_tokens: 200,
///     ..ChatRequest::default()
/// };
/// assert!(request.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatRequest {
    /// Name of a configured model; empty means the client's default model.
    pub model: String,
    /// Instructions that stand above the conversation.
    pub system: Option<String>,
    /// The conversation, oldest turn first; never empty.
    pub messages: Vec<Message>,
    /// The most tokens the answer may have, reasoning included. Default 1024.
    pub max_tokens: u32,
    /// 0 to 2. Models that take no sampling settings are asked without it, and
    /// dialects whose range ends at 1 are asked with at most 1.
    pub temperature: Option<f32>,
    /// The answer ends before any of these texts.
    pub stop: Vec<String>,
    /// Tools the model may call.
    pub tools: Vec<Tool>,
    /// Which tool it has to call; `None` leaves it to the provider's default.
    pub tool_choice: Option<ToolChoice>,
    /// A shape for the answer's text; `None` is free text.
    pub output_schema: Option<OutputSchema>,
    /// How hard to think; `None` leaves it to the model's default.
    pub effort: Option<Effort>,
    /// Ask the provider to cache the prompt up to the last message. Where the
    /// provider caches by itself this changes nothing.
    pub cache_prefix: bool,
    /// An opaque id of the person behind the call, for the provider's abuse
    /// detection. Never an e-mail address or a name.
    pub user_id: Option<String>,
}

impl Default for ChatRequest {
    fn default() -> Self {
        Self {
            model: String::new(),
            system: None,
            messages: Vec::new(),
            max_tokens: 1024,
            temperature: None,
            stop: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            output_schema: None,
            effort: None,
            cache_prefix: false,
            user_id: None,
        }
    }
}

impl ChatRequest {
    /// Checks what every provider would refuse, before anything is sent.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], saying which field is wrong.
    pub fn validate(&self) -> Result<(), AiError> {
        let wrong = |what: &str| Err(AiError::new(ErrorKind::InvalidRequest, what));
        if self.messages.is_empty() {
            return wrong("messages must not be empty");
        }
        if self
            .messages
            .iter()
            .any(|message| message.content.is_empty())
        {
            return wrong("a message must have content");
        }
        if self.max_tokens == 0 {
            return wrong("max_tokens must be at least 1");
        }
        if let Some(temperature) = self.temperature
            && !(0.0..=2.0).contains(&temperature)
        {
            return wrong("temperature must lie between 0 and 2");
        }
        Ok(())
    }

    /// A conservative count of the tokens this request puts in, for a budget
    /// check before the call. See [`crate::tokens`] for the error to expect.
    pub fn estimate_input_tokens(&self) -> u64 {
        crate::tokens::estimate_request(self)
    }
}
