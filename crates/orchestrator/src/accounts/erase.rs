//! Erasing a person: their rows, their key, and what the cache still knows.

use crate::{Error, Orchestrator, caching::workspace_tag};
use mainstay_domain::UserId;
use mainstay_persistence::{Call, DbError};

impl Orchestrator {
    /// Erases a person of the caller's workspace for good: account, sessions,
    /// conversations, agents and answers. Audit, usage and decisions keep an
    /// id that leads nowhere any more.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] under a legal hold, or when
    /// others would be left without an administrator.
    pub async fn erase_person(&self, call: &Call, person: UserId) -> Result<(), Error> {
        match self.0.erasure.erase(call, person).await {
            Err(DbError::Conflict("legal_hold")) => {
                return Err(Error::Conflict(
                    "this person is under a legal hold and cannot be erased".to_owned(),
                ));
            }
            Err(DbError::Conflict("last_administrator")) => {
                return Err(Error::Conflict(
                    "the workspace would be left without an active administrator".to_owned(),
                ));
            }
            other => other?,
        }
        // Their answers may lie in any tier; nobody knows under which keys.
        let dropped = self.0.cache.invalidate_tags(&[workspace_tag(call)]).await;
        if !(dropped.durable && dropped.shared) {
            tracing::warn!(
                name: "erasure.cache_pending",
                "a tier of the cache is away and forgets the erased person's answers once it is back"
            );
        }
        Ok(())
    }
}
