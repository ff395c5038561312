//! POST `/api/v1/auth/register`.

use super::{Session, email, password};
use crate::{
    exchange::Known,
    extract::ApiJson,
    operation::{Access, Operation},
    pipeline::Quotas,
    problem::Problem,
    reply::Created,
};
use actix_web::http::Method;
use mainstay_domain::Name;
use mainstay_orchestrator::{Orchestrator, Register};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// Somebody who wants an account.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterRequest {
    /// Unique in the deployment.
    #[garde(length(min = 3, max = 254))]
    email: String,
    /// 8 to 256 characters.
    #[garde(skip)]
    #[schemars(with = "String", length(min = 8, max = 256))]
    password: SecretString,
    /// Their name.
    #[garde(length(chars, min = 1, max = 120))]
    full_name: Option<String>,
    /// The token of an invitation; without it they get a workspace of their own.
    #[garde(length(max = 200))]
    invitation: Option<String>,
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/auth/register",
        "auth.register",
        Access::Public,
        register,
    )
    .summary("Make an account and log in")
    .description(
        "Creates a workspace of one's own, or joins the invitation's. \
         Whether strangers may register is a setting of the deployment.",
    )
}

async fn register(
    known: Known,
    quotas: Arc<Quotas>,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<RegisterRequest>,
) -> Result<Created<Session>, Problem> {
    quotas.registration(known.address)?;
    let full_name = body
        .full_name
        .as_deref()
        .map(Name::parse)
        .transpose()
        .map_err(|error| Problem::field("/full_name", error.to_string()))?;
    let new = Register {
        email: email(&body.email)?,
        password: password(&body.password)?,
        full_name,
        invitation: body.invitation,
    };
    let login = orchestrator.register(&known.open_call(), new).await?;
    Ok(Created(login.into()))
}
