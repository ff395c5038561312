//! GET `/.well-known/jwks.json`: the public keys of access tokens.

use crate::{
    operation::{Access, Operation},
    problem::Problem,
    services::Now,
};
use actix_web::{
    HttpResponse,
    http::{Method, StatusCode, header},
};
use mainstay_identity::KeySet;
use std::sync::Arc;

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/.well-known/jwks.json",
        "system.jwks",
        Access::Public,
        jwks,
    )
    .summary("The public keys that verify access tokens (RFC 7517)")
    .answers_text(StatusCode::OK, "application/json")
    .always()
}

async fn jwks(keys: Arc<KeySet>, now: Now) -> Result<HttpResponse, Problem> {
    let keys = keys.jwks(now.0);
    let body = serde_json::to_vec(&keys).map_err(|error| Problem::internal(&error))?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        // Shorter than a new key is published ahead of its first use.
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .body(body))
}
