//! The caller's workspace: its settings, and who is invited.

use crate::{Error, Orchestrator};
use mainstay_domain::Workspace;
use mainstay_persistence::{Call, WorkspacePatch};

impl Orchestrator {
    /// The workspace as questions see it.
    ///
    /// # Errors
    /// When neither the cache nor the database has it.
    pub async fn workspace(&self, call: &Call) -> Result<Workspace, Error> {
        Ok(self.0.workspaces.get(call).await?)
    }

    /// Changes the workspace that the caller read as `version`; every instance
    /// asks anew from then on.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub async fn update_workspace(
        &self,
        call: &Call,
        version: i32,
        patch: &WorkspacePatch,
    ) -> Result<Workspace, Error> {
        let workspace = self.0.workspaces.update(call, version, patch).await?;
        self.0.directory.forget_workspace(call).await;
        Ok(workspace)
    }
}
