//! Inviting somebody into the workspace.

use crate::{Error, Orchestrator, accounts::in_seconds};
use mainstay_domain::{Invitation, Role};
use mainstay_identity::InvitationToken;
use mainstay_persistence::{Call, NewInvitation};
use zeroize::Zeroizing;

/// An invitation with its token, which is shown this once.
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// What the invited person registers with.
    pub token: Zeroizing<String>,
}

impl Orchestrator {
    /// Makes a single-use invitation.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the role of programs, which are not invited.
    pub async fn invite(&self, call: &Call, role: Role) -> Result<Invited, Error> {
        if role == Role::Service {
            return Err(Error::Invalid {
                pointer: "/role",
                message: "must be member, operator or administrator".to_owned(),
            });
        }
        let (token, token_hash) = InvitationToken::generate().map_err(Error::internal)?;
        let new = NewInvitation {
            token_hash,
            role,
            expires_at: in_seconds(self.0.now(), self.0.config.invitation_seconds),
        };
        let invitation = self.0.workspaces.invite(call, &new).await?;
        Ok(Invited {
            invitation,
            token: token.reveal(),
        })
    }
}
