//! Registering: a workspace of one's own, or the one of an invitation.

use super::LoggedIn;
use crate::{Error, Orchestrator, config::RegistrationPolicy};
use mainstay_domain::{Email, Name};
use mainstay_identity::{InvitationToken, Password};
use mainstay_persistence::{DbError, Joining, OpenCall, Registration};

/// Somebody who wants an account.
#[derive(Debug)]
pub struct Register {
    /// Their address.
    pub email: Email,
    /// Their password.
    pub password: Password,
    /// Their name, if they give one.
    pub full_name: Option<Name>,
    /// The token of an invitation; without, they get a workspace of their own.
    pub invitation: Option<String>,
}

impl Orchestrator {
    /// Creates the account and logs in.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when registration is closed or needs an
    /// invitation, [`Error::Invalid`] for an invitation that cannot be
    /// redeemed, [`Error::Conflict`] when the address has an account.
    pub async fn register(&self, call: &OpenCall, new: Register) -> Result<LoggedIn, Error> {
        match self.0.config.registration {
            RegistrationPolicy::Closed => {
                return Err(Error::Forbidden("registration is closed"));
            }
            RegistrationPolicy::Invite if new.invitation.is_none() => {
                return Err(Error::Forbidden("registration needs an invitation"));
            }
            RegistrationPolicy::Open | RegistrationPolicy::Invite => {}
        }
        self.create_account(call, new).await
    }

    /// Creates an account whatever the registration policy says: for the
    /// command line, which whoever holds the machine may use.
    ///
    /// # Errors
    /// As [`Orchestrator::register`], policy aside.
    pub async fn create_account(&self, call: &OpenCall, new: Register) -> Result<LoggedIn, Error> {
        let joining = match &new.invitation {
            Some(token) => Joining::Invitation {
                token_hash: InvitationToken::parse(token)
                    .map_err(|_| no_such_invitation())?
                    .hash(),
            },
            None => Joining::OwnWorkspace {
                name: workspace_name(new.full_name.as_ref())?,
            },
        };
        let registration = Registration {
            email: new.email,
            full_name: new.full_name,
            password_hash: self.0.hasher.hash(new.password).await?,
            joining,
        };
        let user = match self.0.accounts.register(call, &registration).await {
            Err(DbError::Conflict("email")) => {
                return Err(Error::Conflict(
                    "this e-mail address has an account already".to_owned(),
                ));
            }
            Err(DbError::NotFound) => return Err(no_such_invitation()),
            other => other?,
        };
        self.0.open_session(call, user).await
    }
}

fn no_such_invitation() -> Error {
    Error::Invalid {
        pointer: "/invitation",
        message: "is not an invitation that can still be redeemed; ask for a new one".to_owned(),
    }
}

/// Workspace names are shown to its members only, so they need not be unique.
fn workspace_name(owner: Option<&Name>) -> Result<Name, Error> {
    let name = owner.map_or_else(
        || "My workspace".to_owned(),
        |owner| {
            let short: String = owner.as_str().chars().take(Name::MAX - 12).collect();
            format!("{short}'s workspace")
        },
    );
    Name::parse(&name).map_err(Error::internal)
}
