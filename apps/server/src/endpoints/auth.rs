//! Accounts: registering, logging in, staying logged in, leaving.

pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod sessions;

use crate::{exchange::Known, problem::Problem};
use mainstay_domain::{Email, User};
use mainstay_identity::Password;
use mainstay_orchestrator::LoggedIn;
use mainstay_persistence::OpenCall;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use uuid::Uuid;

/// A login: the tokens and whose they are.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Session {
    /// For the `Authorization` header.
    access_token: String,
    /// Buys the next pair, once.
    refresh_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// How long the access token lives, in seconds.
    expires_in: u64,
    /// Who.
    user: UserBody,
}

/// A person.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "User")]
pub(crate) struct UserBody {
    /// Their id.
    pub id: Uuid,
    /// Their address.
    pub email: String,
    /// Their name, if they gave one.
    pub full_name: Option<String>,
    /// `member`, `operator` or `administrator`.
    pub role: &'static str,
    /// Their workspace.
    pub workspace_id: Uuid,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id.uuid(),
            email: user.email.into(),
            full_name: user.full_name.map(Into::into),
            role: user.role.as_str(),
            workspace_id: user.workspace_id.uuid(),
        }
    }
}

impl From<LoggedIn> for Session {
    fn from(login: LoggedIn) -> Self {
        Self {
            access_token: login.access_token,
            refresh_token: login.refresh_token.to_string(),
            token_type: "Bearer",
            expires_in: login.expires_in,
            user: login.user.into(),
        }
    }
}

impl Known {
    /// The call of somebody who has not proved who they are.
    fn open_call(&self) -> OpenCall {
        OpenCall {
            correlation_id: self.correlation_id,
            deadline: self.deadline,
        }
    }
}

fn email(text: &str) -> Result<Email, Problem> {
    Email::parse(text).map_err(|error| Problem::field("/email", error.to_string()))
}

fn password(secret: &SecretString) -> Result<Password, Problem> {
    Password::parse(secret.expose_secret())
        .map_err(|error| Problem::field("/password", error.to_string()))
}
