//! The rows that every question depends on, read through the cache so that
//! questions go on while Postgres is away.

use crate::Error;
use mainstay_cache::{Cache, Cached, Key, LoadError, Loaded, Options};
use mainstay_domain::{Persona, PersonaId, Workspace};
use mainstay_persistence::{Call, DbError, Personas, Workspaces};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Reads workspaces and personas.
pub(crate) struct Directory {
    cache: Cache,
    options: Options,
    workspaces: Workspaces,
    personas: Personas,
}

/// How long another instance may not know of a change whose invalidation it missed.
const FRESH: Duration = Duration::from_secs(30);
/// How long a row may stand in while Postgres is away.
const STALE: Duration = Duration::from_secs(24 * 3600);

impl Directory {
    pub(crate) fn new(cache: Cache, workspaces: Workspaces, personas: Personas) -> Self {
        Self {
            cache,
            options: Options::ttl(FRESH).stale_if_error(STALE),
            workspaces,
            personas,
        }
    }

    /// The caller's workspace.
    pub(crate) async fn workspace(&self, call: &Call) -> Result<Workspace, Error> {
        let key = workspace_key(call);
        let call = *call;
        let workspaces = self.workspaces.clone();
        self.read(&key, "workspace", move || async move {
            workspaces.get(&call).await
        })
        .await
    }

    /// A persona of the caller's workspace.
    pub(crate) async fn persona(&self, call: &Call, id: PersonaId) -> Result<Persona, Error> {
        let key = persona_key(call, id);
        let call = *call;
        let personas = self.personas.clone();
        self.read(&key, "persona", move || async move {
            personas.find(&call, id).await
        })
        .await
    }

    /// Forgets the caller's workspace everywhere, after it changed.
    pub(crate) async fn forget_workspace(&self, call: &Call) {
        self.forget(workspace_key(call)).await;
    }

    /// Forgets a persona everywhere, after it changed.
    pub(crate) async fn forget_persona(&self, call: &Call, id: PersonaId) {
        self.forget(persona_key(call, id)).await;
    }

    async fn forget(&self, key: Key) {
        if !self.cache.invalidate(&[key]).await.shared {
            tracing::warn!(
                name: "directory.change_untold",
                "other instances notice a change only after {} seconds, since Redis is away",
                FRESH.as_secs(),
            );
        }
    }

    async fn read<T, F>(
        &self,
        key: &Key,
        what: &'static str,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, DbError>> + Send + 'static,
    {
        let load = || async move {
            let row = load().await?;
            let bytes = serde_json::to_vec(&row).map_err(|error| DbError::Internal {
                source: error.into(),
            })?;
            Ok(Loaded::value(bytes))
        };
        match self.cache.get_or_load(key, &self.options, load).await {
            Ok(Cached { value, .. }) => serde_json::from_slice(&value).map_err(Error::internal),
            Err(LoadError::Failed(error)) => Err(copy(&error, what)),
            Err(other) => Err(Error::internal(other.to_string())),
        }
    }
}

/// What several callers are told of one failed load.
fn copy(error: &DbError, what: &'static str) -> Error {
    match error {
        DbError::NotFound => Error::NotFound(what),
        DbError::Starting { .. } => Error::Starting,
        DbError::DeadlineExceeded => Error::DeadlineExceeded,
        DbError::Unavailable { retry_after } => Error::Unavailable {
            what: "the database",
            retry_after: *retry_after,
        },
        other => Error::internal(other.to_string()),
    }
}

fn workspace_key(call: &Call) -> Key {
    let id = call.principal().workspace_id.uuid();
    Key::hashed("workspace", &[id.as_bytes()])
}

fn persona_key(call: &Call, id: PersonaId) -> Key {
    let workspace = call.principal().workspace_id.uuid();
    Key::hashed("persona", &[workspace.as_bytes(), id.uuid().as_bytes()])
}
