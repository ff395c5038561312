//! Logging in with a password.

use super::LoggedIn;
use crate::{Error, Orchestrator};
use mainstay_domain::{Email, UserStatus};
use mainstay_identity::Password;
use mainstay_persistence::OpenCall;

impl Orchestrator {
    /// Opens a session for whoever knows the password of `email`. Wrong
    /// address, wrong password and locked account answer alike and take as long.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], or [`Error::Overloaded`] when too many log in at once.
    pub async fn login(
        &self,
        call: &OpenCall,
        email: &Email,
        password: Password,
    ) -> Result<LoggedIn, Error> {
        let known = self.0.accounts.find_by_email(email, call.deadline).await?;
        let stored = known.as_ref().map(|known| known.password_hash.as_str());
        let matches = self.0.hasher.verify(stored, password).await?;
        match known {
            Some(known) if matches && known.user.status == UserStatus::Active => {
                self.0.open_session(call, known.user).await
            }
            _ => Err(Error::Unauthenticated),
        }
    }
}
