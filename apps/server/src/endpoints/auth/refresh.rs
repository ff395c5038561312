//! POST `/api/v1/auth/refresh`.

use super::Session;
use crate::{
    exchange::Known,
    extract::ApiJson,
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
};
use actix_web::http::Method;
use mainstay_orchestrator::Orchestrator;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// A refresh token.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    /// The token that the last login or refresh gave.
    #[garde(skip)]
    #[schemars(with = "String", length(min = 1, max = 200))]
    refresh_token: SecretString,
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/auth/refresh",
        "auth.refresh",
        Access::Public,
        refresh,
    )
    .summary("Exchange a refresh token for a new pair")
    .description(
        "Each token buys one pair. Using one twice ends its whole session, \
         since one of its two holders stole it.",
    )
}

async fn refresh(
    known: Known,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<RefreshRequest>,
) -> Result<Json<Session>, Problem> {
    let login = orchestrator
        .refresh(&known.open_call(), body.refresh_token.expose_secret())
        .await?;
    Ok(Json(login.into()))
}
