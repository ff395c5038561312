//! Changing one's own password.

use crate::{Error, Orchestrator};
use mainstay_identity::Password;
use mainstay_persistence::Call;

impl Orchestrator {
    /// Replaces the caller's password, for whoever knows the present one, and
    /// ends their other sessions.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `present` is not the present password.
    pub async fn change_password(
        &self,
        call: &Call,
        present: Password,
        next: Password,
    ) -> Result<(), Error> {
        let principal = call.principal();
        let known = self
            .0
            .accounts
            .find_credentials(call, principal.user_id)
            .await?;
        if !self
            .0
            .hasher
            .verify(Some(&known.password_hash), present)
            .await?
        {
            return Err(Error::Invalid {
                pointer: "/current_password",
                message: "is not the present password".to_owned(),
            });
        }
        let hash = self.0.hasher.hash(next).await?;
        let keep = Some(principal.session_id);
        Ok(self.0.accounts.set_password(call, &hash, keep).await?)
    }
}
