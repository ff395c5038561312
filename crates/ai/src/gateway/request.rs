//! A request as a vendor's SDK sent it.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{anthropic, openai};
use crate::config::ProviderKind;
use crate::error::{AiError, ErrorKind};
use crate::request::ChatRequest;
use crate::tokens;

/// The headers that belong to the protocol and not to the connection.
const FORWARDED: [&str; 2] = ["anthropic-version", "anthropic-beta"];

/// A request in a vendor's dialect. Every field is kept as it was written,
/// known or not.
#[derive(Debug, Clone)]
pub struct GatewayRequest {
    dialect: ProviderKind,
    fields: BTreeMap<String, Box<RawValue>>,
    model: String,
    stream: bool,
    include_usage: bool,
    max_output: Option<u64>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A field that is kept as text is only measured, not read, when it comes. This
/// is below the depth at which reading it later would be refused.
const DEEPEST: usize = 100;

/// Whether brackets outside of strings are nested deeper than `limit`.
fn deeper_than(json: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

/// The few fields that routing needs.
#[derive(Deserialize)]
struct View {
    model: String,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    messages: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

impl GatewayRequest {
    /// Reads the body of a Messages request or of a chat-completions request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when it is not JSON, or has no model or
    /// no messages. The rest is the provider's to judge.
    pub fn parse(dialect: ProviderKind, body: &[u8]) -> Result<Self, AiError> {
        let wrong = |error: &serde_json::Error| {
            // The place alone: the parser's words can quote the prompt.
            let place = format!("line {}, column {}", error.line(), error.column());
            AiError::new(
                ErrorKind::InvalidRequest,
                format!("the body is not a request with a model and messages ({place})"),
            )
        };
        if deeper_than(body, DEEPEST) {
            let detail = format!("the body is nested deeper than {DEEPEST} levels");
            return Err(AiError::new(ErrorKind::InvalidRequest, detail));
        }
        let view: View = serde_json::from_slice(body).map_err(|error| wrong(&error))?;
        let fields = serde_json::from_slice(body).map_err(|error| wrong(&error))?;
        if view.messages.is_empty() {
            return Err(AiError::new(
                ErrorKind::InvalidRequest,
                "messages must not be empty",
            ));
        }
        Ok(Self {
            dialect,
            fields,
            model: view.model,
            stream: view.stream.unwrap_or_default(),
            include_usage: view
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or_default(),
            max_output: view.max_completion_tokens.or(view.max_tokens),
            headers: Vec::new(),
        })
    }

    /// Keeps a header of the caller if it belongs to the protocol
    /// (`anthropic-version`, `anthropic-beta`), byte for byte; others are
    /// ignored.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &[u8]) -> Self {
        let known = FORWARDED
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(name));
        if let (Some(name), Ok(value)) = (known, HeaderValue::from_bytes(value)) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// The dialect it came in.
    pub fn dialect(&self) -> ProviderKind {
        self.dialect
    }

    /// The model it asks for: a configured name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The same request for another configured model.
    #[must_use]
    pub fn for_model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// Whether it asks for a stream.
    pub fn is_stream(&self) -> bool {
        self.stream
    }

    /// The most tokens it allows the answer to have, if it says.
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.max_output
    }

    /// A conservative count of the tokens it puts in.
    pub fn estimate_input_tokens(&self) -> u64 {
        self.to_chat().map_or_else(
            |_| {
                let prompt = ["system", "messages", "tools"];
                prompt
                    .iter()
                    .filter_map(|field| self.fields.get(*field))
                    .map(|raw| tokens::estimate(raw.get()))
                    .sum()
            },
            |request| tokens::estimate_request(&request),
        )
    }

    /// The request in our own form, which is what guards and other dialects
    /// understand.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] naming the field that has no place in it.
    pub fn to_chat(&self) -> Result<ChatRequest, AiError> {
        let request = match self.dialect {
            ProviderKind::Anthropic => anthropic::to_chat(self),
            ProviderKind::OpenAi => openai::to_chat(self),
        };
        request.map_err(|field| {
            AiError::new(
                ErrorKind::InvalidRequest,
                format!("`{field}` cannot be translated to another provider's dialect"),
            )
        })
    }

    /// A field as a value; `None` when it is absent, null or not readable.
    pub(super) fn field(&self, name: &str) -> Option<Value> {
        let value: Value = serde_json::from_str(self.fields.get(name)?.get()).ok()?;
        (!value.is_null()).then_some(value)
    }

    /// The body for a deployment of the same dialect: the model is the
    /// deployment's, usage is always asked for, all else is as it came.
    pub(crate) fn body_for(&self, model: &str) -> Vec<u8> {
        let mut fields = self.fields.clone();
        let mut set = |name: &str, value: Value| {
            if let Ok(raw) = RawValue::from_string(value.to_string()) {
                fields.insert(name.to_owned(), raw);
            }
        };
        set("model", Value::from(model));
        if self.stream && self.dialect == ProviderKind::OpenAi {
            let mut options = self
                .field("stream_options")
                .unwrap_or_else(|| serde_json::json!({}));
            options["include_usage"] = Value::Bool(true);
            set("stream_options", options);
        }
        // Writing strings and raw JSON cannot fail.
        serde_json::to_vec(&fields).unwrap_or_default()
    }

    pub(crate) fn set_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// Whether the caller wants to see the usage of a chat-completions stream.
    pub(crate) fn wants_usage(&self) -> bool {
        self.include_usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings() {
        assert!(deeper_than(b"[[[1]]]", 2));
        assert!(!deeper_than(b"[[[1]]]", 3));
        assert!(!deeper_than(br#"{"a": "[[[[\"[[[[", "b": [1, [2]]}"#, 3));
        assert!(!deeper_than(b"[[],[],[],[]]", 2));
    }
}
