//! One opaque error with questions. Its text holds no key, prompt or answer.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::response::AttemptReport;

/// What went wrong, in the words of the caller's next decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// No model is configured at all.
    NotConfigured,
    /// The configuration is wrong.
    Misconfigured,
    /// No configured model has the name that was asked for.
    UnknownModel,
    /// The request is wrong; sending it elsewhere or again does not help.
    InvalidRequest,
    /// The provider refuses our key, account or payment.
    Unauthorized,
    /// The provider does not have the model or the path.
    NotFound,
    /// Nothing was sent: every deployment is broken or cooling down.
    Rejected,
    /// The provider says that we ask too often.
    RateLimited,
    /// The provider says that it has too much to do.
    Overloaded,
    /// No answer, or no next piece of it, in time.
    Timeout,
    /// The provider could not be reached, or the connection broke before an answer.
    Unreachable,
    /// The provider failed in a way it admits (a 5xx or an error event).
    Upstream,
    /// The answer stopped before its end.
    Truncated,
    /// The answer is not what the dialect promises.
    Garbled,
    /// The answer is larger than the limit.
    TooLarge,
}

impl ErrorKind {
    fn sentence(self) -> &'static str {
        match self {
            Self::NotConfigured => "no AI model is configured",
            Self::Misconfigured => "the AI configuration is wrong",
            Self::UnknownModel => "no configured AI model has this name",
            Self::InvalidRequest => "the AI request is not valid",
            Self::Unauthorized => "the AI provider refuses the credentials or the account",
            Self::NotFound => "the AI provider does not know the model or the path",
            Self::Rejected => "no AI deployment can be asked right now",
            Self::RateLimited => "the AI provider limits the rate",
            Self::Overloaded => "the AI provider is overloaded",
            Self::Timeout => "the AI provider did not answer in time",
            Self::Unreachable => "the AI provider cannot be reached",
            Self::Upstream => "the AI provider failed",
            Self::Truncated => "the AI answer stopped before its end",
            Self::Garbled => "the AI answer cannot be understood",
            Self::TooLarge => "the AI answer is larger than the limit",
        }
    }

    /// Whether the same call may succeed later without being changed.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Rejected
                | Self::RateLimited
                | Self::Overloaded
                | Self::Timeout
                | Self::Unreachable
                | Self::Upstream
                | Self::Truncated
                | Self::Garbled
        )
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Why a call to a model gave no answer.
///
/// Ask it questions; its inside is private so that it can change. `Display` and
/// `Debug` are safe to log: they never hold a key, a prompt, an answer, or a
/// text that a provider wrote.
pub struct AiError(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    detail: String,
    deployment: Option<String>,
    status: Option<u16>,
    code: Option<Box<str>>,
    upstream_message: Option<Box<str>>,
    retry_after: Option<Duration>,
    truncated: bool,
    attempts: Vec<AttemptReport>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl AiError {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            detail: detail.into(),
            deployment: None,
            status: None,
            code: None,
            upstream_message: None,
            retry_after: None,
            truncated: kind == ErrorKind::Truncated,
            attempts: Vec::new(),
            source: None,
        }))
    }

    pub(crate) fn from_failure(failure: Failure, deployment: &str) -> Self {
        let mut error = Self::new(failure.kind, failure.detail);
        error.0.deployment = Some(deployment.to_owned());
        error.0.status = failure.status;
        error.0.code = failure.code;
        error.0.upstream_message = failure.upstream_message;
        error.0.retry_after = failure.retry_after;
        error.0.source = failure.source;
        error
    }

    pub(crate) fn with_attempts(mut self, attempts: Vec<AttemptReport>) -> Self {
        self.0.attempts = attempts;
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    pub(crate) fn truncating(mut self) -> Self {
        self.0.truncated = true;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether time ran out: the deadline, or a wait for the provider.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout
    }

    /// Whether the same call may succeed later without being changed.
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Whether part of the answer had already been handed out when it failed.
    /// What was handed out is not a whole answer.
    pub fn is_truncated(&self) -> bool {
        self.0.truncated
    }

    /// How long to wait before asking again, when a provider or a breaker said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The provider's HTTP status, when it gave one.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The provider's own error type or code, such as `overloaded_error`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// `provider/model` of the attempt that this error comes from.
    pub fn deployment(&self) -> Option<&str> {
        self.0.deployment.as_deref()
    }

    /// What the provider wrote. It may quote the prompt, so it is not part of
    /// `Display`: hand it to the caller who sent the prompt, never to a log.
    pub fn upstream_message(&self) -> Option<&str> {
        self.0.upstream_message.as_deref()
    }

    /// Every attempt of this call, in order.
    pub fn attempts(&self) -> &[AttemptReport] {
        &self.0.attempts
    }
}

impl fmt::Display for AiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.sentence())?;
        if !self.0.detail.is_empty() {
            write!(f, ": {}", self.0.detail)?;
        }
        if let Some(deployment) = &self.0.deployment {
            write!(f, " [{deployment}")?;
            if let Some(status) = self.0.status {
                write!(f, ", status {status}")?;
            }
            if let Some(code) = &self.0.code {
                write!(f, ", {code}")?;
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for AiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AiError")
            .field("kind", &self.0.kind)
            .field("detail", &self.0.detail)
            .field("deployment", &self.0.deployment)
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("retry_after", &self.0.retry_after)
            .field("truncated", &self.0.truncated)
            .field("attempts", &self.0.attempts.len())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for AiError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// How one attempt failed, before anyone decided what follows from it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) detail: String,
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<Box<str>>,
    pub(crate) upstream_message: Option<Box<str>>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) upstream_id: Option<String>,
    /// The provider said that asking again is pointless.
    pub(crate) retry_forbidden: bool,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            status: None,
            code: None,
            upstream_message: None,
            retry_after: None,
            upstream_id: None,
            retry_forbidden: false,
            source: None,
        }
    }

    /// The address is cut off the error: a base URL can hold a token.
    pub(crate) fn from_transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let (kind, detail) = if error.is_timeout() {
            (ErrorKind::Timeout, "the connection took too long")
        } else if error.is_connect() {
            (ErrorKind::Unreachable, "no connection")
        } else {
            (ErrorKind::Unreachable, "the connection broke")
        };
        Self {
            source: Some(Box::new(error)),
            ..Self::new(kind, detail)
        }
    }

    /// Whether another deployment could do better with the same request.
    pub(crate) fn may_go_elsewhere(&self) -> bool {
        self.kind != ErrorKind::InvalidRequest
    }

    /// Whether asking the same deployment once more is reasonable. After a
    /// timeout it is not: the time it would need is what just ran out.
    pub(crate) fn may_try_again(&self) -> bool {
        !self.retry_forbidden
            && matches!(
                self.kind,
                ErrorKind::RateLimited
                    | ErrorKind::Overloaded
                    | ErrorKind::Unreachable
                    | ErrorKind::Upstream
                    | ErrorKind::Truncated
                    | ErrorKind::Garbled
            )
    }
}
