//! POST `/api/v1/auth/login`.

use super::{Session, email};
use crate::{
    exchange::Known,
    extract::ApiJson,
    operation::{Access, Operation},
    pipeline::Quotas,
    problem::{Code, Problem},
    reply::Json,
};
use actix_web::http::Method;
use aws_lc_rs::digest;
use mainstay_domain::Email;
use mainstay_identity::Password;
use mainstay_orchestrator::Orchestrator;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::sync::Arc;

/// What somebody proves themselves by.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginRequest {
    /// Their address.
    #[garde(length(min = 3, max = 254))]
    email: String,
    /// Their password.
    #[garde(skip)]
    #[schemars(with = "String", length(min = 1, max = 256))]
    password: SecretString,
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/auth/login",
        "auth.login",
        Access::Public,
        login,
    )
    .summary("Log in with e-mail and password")
    .description(
        "A wrong e-mail, a wrong password and a locked account are answered alike. \
         Failures are limited per account and address.",
    )
}

async fn login(
    known: Known,
    quotas: Arc<Quotas>,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<LoginRequest>,
) -> Result<Json<Session>, Problem> {
    let email = email(&body.email)?;
    let account = account_key(&email);
    quotas.login(known.address, account)?;
    let Ok(password) = Password::parse(body.password.expose_secret()) else {
        // No account has such a password; saying so would tell the rules to guessers only.
        return Err(Problem::new(
            Code::Unauthenticated,
            "the credentials are not valid",
        ));
    };
    let login = orchestrator
        .login(&known.open_call(), &email, password)
        .await?;
    quotas.login_succeeded(known.address, account);
    Ok(Json(login.into()))
}

/// Limits remember a digest, so that no address lies about in memory.
fn account_key(email: &Email) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, email.as_str().as_bytes()).as_ref());
    key
}
