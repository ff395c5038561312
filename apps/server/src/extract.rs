//! Reading bodies, queries and path parameters into checked values.

mod json;

pub(crate) use json::parse as parse_json;

use crate::{
    exchange::{Exchange, Extract},
    operation::Reads,
    problem::{Code, FieldError, Problem},
};
use actix_web::{dev::Payload, http::header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use garde::Validate;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// A JSON body that was parsed and passed its rules.
#[derive(Debug)]
pub(crate) struct ApiJson<T>(pub T);

impl<T> Extract for ApiJson<T>
where
    T: DeserializeOwned + JsonSchema + Validate<Context = ()>,
{
    async fn extract(exchange: &Exchange, payload: &mut Payload) -> Result<Self, Problem> {
        expect_json(exchange)?;
        let body = read_body(payload, exchange.known.body_limit).await?;
        let value: T = parse_json(&body)?;
        checked(value).map(Self)
    }

    fn document(reads: &mut Reads) {
        reads.body = Some(schemars::SchemaGenerator::subschema_for::<T>);
    }
}

/// A query string that was parsed and passed its rules.
#[derive(Debug)]
pub(crate) struct ApiQuery<T>(pub T);

impl<T> Extract for ApiQuery<T>
where
    T: DeserializeOwned + JsonSchema + Validate<Context = ()>,
{
    async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
        let text = exchange.http.query_string();
        if text.contains("%00") {
            // Postgres stores and compares no NUL, and nobody types one.
            return Err(Problem::field("", "must not contain the NUL character"));
        }
        let query =
            actix_web::web::Query::<T>::from_query(text).map_err(|error| query_problem(&error))?;
        checked(query.into_inner()).map(Self)
    }

    fn document(reads: &mut Reads) {
        reads.query = Some(|generator| T::json_schema(generator));
    }
}

/// The route's first parameter. What cannot be one of ours, such as an id that is no UUID,
/// is not found, as if it were well-formed and absent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApiPath<T>(pub T);

impl<T: FromStr> Extract for ApiPath<T> {
    async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
        parameter(exchange, 0).map(Self)
    }
}

/// The route's first two parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApiPath2<A, B>(pub A, pub B);

impl<A: FromStr, B: FromStr> Extract for ApiPath2<A, B> {
    async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
        Ok(Self(parameter(exchange, 0)?, parameter(exchange, 1)?))
    }
}

fn parameter<T: FromStr>(exchange: &Exchange, index: usize) -> Result<T, Problem> {
    exchange
        .parameters
        .get(index)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Problem::not_found("object"))
}

/// The version that `If-Match` names; `None` when the header is absent or `*`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IfMatch(pub Option<i32>);

impl Extract for IfMatch {
    async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
        let Some(value) = exchange.header("if-match") else {
            return Ok(Self(None));
        };
        if value.trim() == "*" {
            return Ok(Self(None));
        }
        value
            .trim()
            .trim_start_matches("W/")
            .trim_matches('"')
            .parse()
            .map(|version| Self(Some(version)))
            .map_err(|_| {
                // A tag that we never gave out cannot be the present one.
                Problem::new(
                    Code::PreconditionFailed,
                    "If-Match names no version of this",
                )
            })
    }

    fn document(reads: &mut Reads) {
        reads.if_match = true;
    }
}

/// Refuses bodies that do not claim to be JSON.
fn expect_json(exchange: &Exchange) -> Result<(), Problem> {
    let content_type = exchange.header(header::CONTENT_TYPE.as_str()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    let is_json = media_type.eq_ignore_ascii_case("application/json")
        || (media_type.len() > 5
            && media_type[media_type.len() - 5..].eq_ignore_ascii_case("+json"));
    if is_json {
        Ok(())
    } else {
        Err(Problem::new(
            Code::UnsupportedMediaType,
            "send Content-Type: application/json",
        ))
    }
}

/// Reads a whole body of at most `limit` bytes, counting while it arrives.
pub(crate) async fn read_body(payload: &mut Payload, limit: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut length = 0;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk
            .map_err(|_| Problem::new(Code::BadRequest, "the body ended before it was complete"))?;
        length += chunk.len();
        if length > limit {
            return Err(too_large(limit));
        }
        // Most bodies arrive in one piece, which then is not copied.
        if first.is_empty() {
            first = chunk;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&chunk);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

/// The body is over `limit` bytes.
pub(crate) fn too_large(limit: usize) -> Problem {
    Problem::new(
        Code::PayloadTooLarge,
        format!("the body may have at most {limit} bytes"),
    )
}

/// Applies the rules of a value that parsed.
pub(crate) fn checked<T: Validate<Context = ()>>(value: T) -> Result<T, Problem> {
    match value.validate() {
        Ok(()) => Ok(value),
        Err(report) => Err(Problem::invalid(
            report
                .iter()
                .map(|(path, error)| FieldError {
                    pointer: pointer(&path.to_string()),
                    message: error.message().to_owned(),
                })
                .collect(),
        )),
    }
}

/// `a.b[0].c` as a JSON pointer.
fn pointer(path: &str) -> String {
    let mut pointer = String::new();
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        pointer.push('/');
        pointer.push_str(&json::escape(part.trim_end_matches(']')));
    }
    pointer
}

fn query_problem(error: &impl std::fmt::Display) -> Problem {
    let text = error.to_string();
    let reason = text
        .strip_prefix("Query deserialize error: ")
        .unwrap_or(&text);
    let (field, message) = json::explain(reason, String::new());
    Problem::field(field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_pointers() {
        assert_eq!(
            pointer("configuration.temperature"),
            "/configuration/temperature"
        );
        assert_eq!(pointer("items[2].name"), "/items/2/name");
        assert_eq!(pointer(""), "");
    }
}
