//! Accounts: registering, logging in, staying logged in, leaving.

mod erase;
mod invite;
mod login;
mod logout;
mod password;
mod refresh;
mod register;

pub use invite::Invited;
pub use register::Register;

use crate::{Error, services::Services};
use jiff::{SignedDuration, Timestamp};
use mainstay_domain::{Principal, SessionId, User};
use mainstay_identity::{HashError, RefreshToken};
use mainstay_persistence::{NewSession, OpenCall};
use std::{fmt, time::Duration};
use zeroize::Zeroizing;

/// What a successful registration, login or refresh hands out.
pub struct LoggedIn {
    /// The access token, for the `Authorization` header.
    pub access_token: String,
    /// Buys the next pair, once.
    pub refresh_token: Zeroizing<String>,
    /// How long the access token lives, in seconds.
    pub expires_in: u64,
    /// Who.
    pub user: User,
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedIn")
            .field("user", &self.user.id)
            .finish_non_exhaustive()
    }
}

impl Services {
    /// Opens a session for somebody who has proved who they are.
    async fn open_session(&self, call: &OpenCall, user: User) -> Result<LoggedIn, Error> {
        let (refresh, hash) = RefreshToken::generate().map_err(Error::internal)?;
        let session = NewSession {
            user_id: user.id,
            workspace_id: user.workspace_id,
            refresh_hash: hash,
            expires_at: self.refresh_expiry(),
        };
        let session_id = self.sessions.open(call, &session).await?;
        self.tokens(user, session_id, &refresh)
    }

    /// Signs an access token and puts the pair together.
    fn tokens(
        &self,
        user: User,
        session_id: SessionId,
        refresh: &RefreshToken,
    ) -> Result<LoggedIn, Error> {
        let principal = Principal {
            user_id: user.id,
            workspace_id: user.workspace_id,
            role: user.role,
            session_id,
        };
        let access = self
            .issuer
            .issue(&principal, self.now())
            .map_err(Error::internal)?;
        Ok(LoggedIn {
            access_token: access.token,
            refresh_token: refresh.reveal(),
            expires_in: access.expires_in,
            user,
        })
    }

    fn refresh_expiry(&self) -> Timestamp {
        in_seconds(self.now(), self.config.refresh_token_seconds)
    }
}

/// `seconds` after `now`, cut to the last representable time.
fn in_seconds(now: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    now.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Overloaded {
                retry_after: Duration::from_secs(2),
            },
            other => Self::internal(other),
        }
    }
}
