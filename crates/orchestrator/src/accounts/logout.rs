//! Leaving: one session, or all of them.

use crate::{Error, Orchestrator};
use mainstay_persistence::Call;

impl Orchestrator {
    /// Ends the session that the caller speaks from.
    ///
    /// # Errors
    /// When the database does not answer. Ending an ended session is no error.
    pub async fn logout(&self, call: &Call) -> Result<(), Error> {
        match self
            .0
            .sessions
            .revoke(call, call.principal().session_id)
            .await
        {
            Ok(()) | Err(mainstay_persistence::DbError::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends every session of the caller; tells how many.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn logout_all(&self, call: &Call) -> Result<u64, Error> {
        Ok(self.0.sessions.revoke_all(call).await?)
    }
}
