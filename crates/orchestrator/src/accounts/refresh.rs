//! Staying logged in: a refresh token buys the next pair, once.

use super::LoggedIn;
use crate::{Error, Orchestrator};
use mainstay_identity::RefreshToken;
use mainstay_persistence::{OpenCall, Rotation};

impl Orchestrator {
    /// Exchanges a refresh token. Using one twice ends its whole session,
    /// since one of the two holders stole it.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a token that buys nothing.
    pub async fn refresh(&self, call: &OpenCall, token: &str) -> Result<LoggedIn, Error> {
        let old = RefreshToken::parse(token).map_err(|_| Error::Unauthenticated)?;
        let (new, new_hash) = RefreshToken::generate().map_err(Error::internal)?;
        let rotation = self
            .0
            .sessions
            .rotate(call, &old.hash(), &new_hash, self.0.refresh_expiry())
            .await?;
        match rotation {
            Rotation::Rotated { user, session_id } => self.0.tokens(*user, session_id, &new),
            Rotation::Reused => {
                tracing::warn!(name: "session.refresh_reused", "a refresh token was used twice; its session is revoked");
                Err(Error::Unauthenticated)
            }
            Rotation::Unknown | Rotation::Ended => Err(Error::Unauthenticated),
        }
    }
}
