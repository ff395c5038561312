//! Errors as clients see them: RFC 9457 `application/problem+json`.
//!
//! Every failure of every endpoint becomes a [`Problem`] with a stable
//! [`Code`]. A problem carries one message for the client; what happened
//! inside is logged where it was handled and never sent.
//!
//! **To add a code**, add it to the table in `problem/code.rs` and write its
//! page under `docs/errors/`; the program does not compile without the page.

mod code;
mod mapping;

pub use code::Code;

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderValue},
};
use serde::Serialize;
use std::{borrow::Cow, fmt, time::Duration};
use uuid::Uuid;

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct FieldError {
    /// Where, as a JSON pointer (RFC 6901), such as `/configuration/temperature`.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A failure as its client sees it.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    allow: Option<String>,
}

/// The wire form of a problem.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Wire<'a> {
    /// The page that explains the code.
    r#type: String,
    /// The code in words; the same for every occurrence.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What happened this time.
    detail: &'a str,
    /// The stable code to program against.
    code: &'a str,
    /// The thread that ties this response to the server's log.
    #[schemars(with = "uuid::Uuid")]
    correlation_id: Uuid,
    /// What is wrong with the request, field by field.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schemars(default)]
    errors: &'a [FieldError],
}

impl Problem {
    /// A problem with a message for the client. A 429 or 503 that is given
    /// no other time asks to come back in one second.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            allow: None,
        }))
    }

    /// The request is wrong in these places.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.first() {
            Some(first) if errors.len() == 1 && !first.pointer.is_empty() => {
                Cow::Owned(format!("{}: {}", first.pointer, first.message))
            }
            Some(first) if errors.len() == 1 => Cow::Owned(first.message.clone()),
            _ => Cow::Borrowed("several fields are wrong"),
        };
        let mut problem = Self::new(Code::ValidationError, detail);
        problem.0.errors = errors;
        problem
    }

    /// One field is wrong.
    pub fn field(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError {
            pointer: pointer.into(),
            message: message.into(),
        }])
    }

    /// What was asked for does not exist, or is somebody else's.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// Something inside failed. The cause goes to the log and not to the client.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        let mut chain = cause.to_string();
        let mut next = cause.source();
        while let Some(source) = next {
            chain.push_str(": ");
            chain.push_str(&source.to_string());
            next = source.source();
        }
        tracing::error!(error = %chain, "request failed");
        Self::unexplained()
    }

    /// Something inside failed that has been logged already.
    pub(crate) fn unexplained() -> Self {
        Self::new(
            Code::Internal,
            "something failed on our side; the correlation id finds it in the log",
        )
    }

    /// When to try again; rounded up to whole seconds, at least one.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// The methods that would be right.
    #[must_use]
    pub(crate) fn allow(mut self, methods: String) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The message for the client.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The seconds of `Retry-After`, when there is one.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let after = self.0.retry_after.or_else(|| {
            matches!(self.0.code.status().as_u16(), 429 | 503).then_some(Duration::from_secs(1))
        })?;
        Some((after.as_millis().div_ceil(1000) as u64).max(1))
    }

    /// The body for `correlation_id`.
    pub(crate) fn wire(&self, correlation_id: Uuid) -> Wire<'_> {
        let code = self.0.code;
        Wire {
            r#type: format!("/docs/errors/{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: &self.0.detail,
            code: code.as_str(),
            correlation_id,
            errors: &self.0.errors,
        }
    }

    /// The response for `correlation_id`.
    pub(crate) fn respond(&self, correlation_id: Uuid) -> HttpResponse {
        let mut response = HttpResponse::build(self.0.code.status());
        response.insert_header((header::CONTENT_TYPE, PROBLEM_JSON));
        if let Some(seconds) = self.retry_after_seconds() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(methods) = &self.0.allow {
            response.insert_header((header::ALLOW, methods.as_str()));
        }
        if self.0.code == Code::Unauthenticated {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        let body = serde_json::to_vec(&self.wire(correlation_id)).unwrap_or_default();
        response.body(body)
    }
}

/// The media type of problems.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.0.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_to_wait_says_how_long() {
        for code in Code::ALL {
            let problem = Problem::new(code, "x");
            let asks = matches!(code.status().as_u16(), 429 | 503);
            assert_eq!(problem.retry_after_seconds().is_some(), asks, "{code:?}");
        }
        let soon = Problem::new(Code::RateLimited, "x").retry_after(Duration::from_millis(1));
        assert_eq!(soon.retry_after_seconds(), Some(1));
    }

    #[test]
    fn the_body_names_code_page_and_fields() {
        let id = Uuid::nil();
        let problem = Problem::field("/limit", "must be from 1 to 200");
        let body = serde_json::to_value(problem.wire(id)).unwrap();
        assert_eq!(body["code"], "VALIDATION_ERROR");
        assert_eq!(body["type"], "/docs/errors/VALIDATION_ERROR");
        assert_eq!(body["status"], 422);
        assert_eq!(body["errors"][0]["pointer"], "/limit");
        assert_eq!(body["correlation_id"], id.to_string());
    }

    #[test]
    fn an_inner_failure_is_not_told_to_the_client() {
        let cause = std::io::Error::other("password=hunter2");
        let problem = Problem::internal(&cause);
        assert!(!problem.detail().contains("hunter2"));
        assert_eq!(problem.code(), Code::Internal);
    }
}
