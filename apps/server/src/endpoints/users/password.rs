//! POST `/api/v1/users/me/password`.

use crate::{
    exchange::Known,
    extract::ApiJson,
    operation::{Access, Operation},
    pipeline::Quotas,
    problem::Problem,
    reply::NoContent,
};
use actix_web::http::Method;
use aws_lc_rs::digest;
use mainstay_domain::UserId;
use mainstay_identity::{Password, Permission};
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::Call;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::sync::Arc;

/// The present password and the next one.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordRequest {
    /// The present password.
    #[garde(skip)]
    #[schemars(with = "String", length(min = 1, max = 256))]
    current_password: SecretString,
    /// The next one, 8 to 256 characters.
    #[garde(skip)]
    #[schemars(with = "String", length(min = 8, max = 256))]
    new_password: SecretString,
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/users/me/password",
        "users.change_password",
        Access::Requires(Permission::ManageSelf),
        change,
    )
    .summary("Change one's own password")
    .description(
        "Ends every other session of one's own. Wrong tries are limited like failed logins.",
    )
}

async fn change(
    (known, quotas): (Known, Arc<Quotas>),
    call: Call,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<PasswordRequest>,
) -> Result<NoContent, Problem> {
    let parse = |pointer: &str, secret: &SecretString| {
        Password::parse(secret.expose_secret())
            .map_err(|error| Problem::field(pointer, error.to_string()))
    };
    let present = parse("/current_password", &body.current_password)?;
    let next = parse("/new_password", &body.new_password)?;
    // Whoever found an unlocked screen must not guess on.
    let account = account_key(call.principal().user_id);
    quotas.login(known.address, account)?;
    orchestrator.change_password(&call, present, next).await?;
    quotas.login_succeeded(known.address, account);
    Ok(NoContent)
}

fn account_key(user: UserId) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, user.uuid().as_bytes()).as_ref());
    key
}
