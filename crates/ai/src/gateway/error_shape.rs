//! Errors in the shape that a vendor's SDK expects.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::config::ProviderKind;
use crate::error::{AiError, ErrorKind};

/// The status and the JSON body by which a server tells this error in a
/// dialect. Where the fault is the server's own, such as a wrong provider key,
/// the caller is told of a bad gateway and not of credentials it does not have.
pub fn error_body(dialect: ProviderKind, error: &AiError) -> (u16, Vec<u8>) {
    let status = status(dialect, error.kind());
    (
        status,
        shape(dialect, status, error).to_string().into_bytes(),
    )
}

fn status(dialect: ProviderKind, kind: ErrorKind) -> u16 {
    match (kind, dialect) {
        (ErrorKind::InvalidRequest, _) => 400,
        (ErrorKind::UnknownModel, _) => 404,
        (ErrorKind::RateLimited, _) => 429,
        (ErrorKind::Overloaded | ErrorKind::Rejected, ProviderKind::Anthropic) => 529,
        (ErrorKind::Overloaded | ErrorKind::Rejected | ErrorKind::NotConfigured, _) => 503,
        (ErrorKind::Misconfigured, _) => 500,
        (ErrorKind::Timeout, _) => 504,
        _ => 502,
    }
}

/// What a person reads: the provider's words about a wrong request, which are
/// about what that person wrote, and otherwise ours.
fn message(error: &AiError) -> String {
    let own_fault = error.kind() == ErrorKind::InvalidRequest;
    match error.upstream_message().filter(|_| own_fault) {
        Some(message) => message.to_owned(),
        None => error.to_string(),
    }
}

fn shape(dialect: ProviderKind, status: u16, error: &AiError) -> Value {
    match dialect {
        ProviderKind::Anthropic => {
            let kind = match status {
                400 => "invalid_request_error",
                404 => "not_found_error",
                429 => "rate_limit_error",
                504 => "timeout_error",
                529 => "overloaded_error",
                _ => "api_error",
            };
            json!({"type": "error", "error": {"type": kind, "message": message(error)}})
        }
        ProviderKind::OpenAi => {
            let (kind, code) = match status {
                400 => ("invalid_request_error", None),
                404 => ("invalid_request_error", Some("model_not_found")),
                429 => ("requests", Some("rate_limit_exceeded")),
                503 => ("service_unavailable_error", None),
                504 => ("server_error", Some("timeout")),
                _ => ("server_error", None),
            };
            json!({"error": {"message": message(error), "type": kind, "param": null, "code": code}})
        }
    }
}

/// The event by which a stream that has begun tells that it failed.
pub(super) fn error_event(dialect: ProviderKind, error: &AiError) -> Bytes {
    let body = shape(dialect, status(dialect, error.kind()), error);
    Bytes::from(match dialect {
        ProviderKind::Anthropic => format!("event: error\ndata: {body}\n\n"),
        ProviderKind::OpenAi => format!("data: {body}\n\n"),
    })
}
