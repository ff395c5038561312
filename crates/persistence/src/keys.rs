//! Data keys of people: fetched, unwrapped and kept for a while.

use crate::{
    database::{Conn, Inner, Param},
    error::{DbError, Failure},
};
use mainstay_encryption::{Aad, DataKey, KeyOwner, Vault, WrappedKey};
use mainstay_resilience::SharedClock;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use uuid::Uuid;

/// How many unwrapped keys are kept.
const CAPACITY: usize = 10_000;
/// How long one is kept: also the longest time that another instance could
/// still open an erased person's fields when it missed the erasure's event.
const TTL: Duration = Duration::from_secs(60);

pub(crate) const SELECT: &str = "
SELECT subject_id, wrapped_by, wrapped FROM data_keys
WHERE workspace_id = $1 AND subject_id = ANY($2)";

/// The vault and the unwrapped keys of the moment.
pub(crate) struct Keys {
    pub(crate) vault: Vault,
    clock: SharedClock,
    kept: Mutex<HashMap<KeyOwner, (DataKey, Duration)>>,
}

impl Keys {
    pub(crate) fn new(vault: Vault, clock: SharedClock) -> Self {
        Self {
            vault,
            clock,
            kept: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn forget(&self, owner: KeyOwner) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&owner);
    }

    fn kept(&self, owner: KeyOwner) -> Option<DataKey> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, since) = kept.get(&owner)?;
        (self.clock.now().saturating_sub(*since) < TTL).then(|| key.clone())
    }

    fn keep(&self, owner: KeyOwner, key: &DataKey) {
        let now = self.clock.now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CAPACITY {
            kept.retain(|_, (_, since)| now.saturating_sub(*since) < TTL);
        }
        if kept.len() >= CAPACITY {
            // Any will do: it is fetched again when it is needed again.
            if let Some(victim) = kept.keys().next().copied() {
                kept.remove(&victim);
            }
        }
        kept.insert(owner, (key.clone(), now));
    }
}

/// Seals and opens one person's fields.
#[derive(Clone)]
pub(crate) struct Sealer {
    key: DataKey,
    owner: KeyOwner,
}

/// A sealed column.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
}

impl Field {
    pub(crate) const fn of(table: &'static str, column: &'static str) -> Self {
        Self { table, column }
    }
}

impl Sealer {
    pub(crate) fn seal(&self, field: Field, row: Uuid, text: &[u8]) -> Result<Vec<u8>, Failure> {
        Ok(self.key.seal(&self.aad(field, row), text)?)
    }

    pub(crate) fn open(&self, field: Field, row: Uuid, sealed: &[u8]) -> Result<String, Failure> {
        let text = self.key.open(&self.aad(field, row), sealed)?;
        Ok(std::str::from_utf8(&text)
            .map_err(|_| DbError::Corrupt("a sealed field is not text"))?
            .to_owned())
    }

    pub(crate) fn open_bytes(
        &self,
        field: Field,
        row: Uuid,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        Ok(self.key.open(&self.aad(field, row), sealed)?.to_vec())
    }

    fn aad(&self, field: Field, row: Uuid) -> Aad<'static> {
        Aad {
            workspace: self.owner.workspace,
            table: field.table,
            column: field.column,
            row,
            subject: self.owner.subject,
        }
    }
}

/// The sealers of several people of a workspace.
pub(crate) struct Sealers(HashMap<Uuid, Sealer>);

impl Sealers {
    pub(crate) fn of(&self, subject: Uuid) -> Result<&Sealer, Failure> {
        Ok(self
            .0
            .get(&subject)
            .ok_or(DbError::Corrupt("a data key is missing"))?)
    }
}

impl Inner {
    /// A new person's key, and its row for `data_keys`.
    pub(crate) fn new_sealer(&self, owner: KeyOwner) -> Result<(Sealer, WrappedKey), DbError> {
        let (key, wrapped) = self.keys.vault.new_data_key(owner)?;
        Ok((Sealer { key, owner }, wrapped))
    }

    /// The sealer of one person; a query only when it is not at hand.
    pub(crate) async fn sealer(
        &self,
        conn: &Conn,
        workspace: Uuid,
        subject: Uuid,
    ) -> Result<Sealer, Failure> {
        let owner = KeyOwner { workspace, subject };
        if let Some(key) = self.keys.kept(owner) {
            return Ok(Sealer { key, owner });
        }
        let sealers = self.sealers(conn, workspace, &[subject]).await?;
        Ok(sealers.of(subject)?.clone())
    }

    /// The sealers of several people, with one query at most. People without
    /// a key, such as erased ones, are left out.
    pub(crate) async fn sealers(
        &self,
        conn: &Conn,
        workspace: Uuid,
        subjects: &[Uuid],
    ) -> Result<Sealers, Failure> {
        let mut sealers = HashMap::new();
        let mut missing = Vec::new();
        for subject in subjects.iter().copied() {
            let owner = KeyOwner { workspace, subject };
            match self.keys.kept(owner) {
                Some(key) => drop(sealers.insert(subject, Sealer { key, owner })),
                None => missing.push(subject),
            }
        }
        if missing.is_empty() {
            return Ok(Sealers(sealers));
        }
        let params: &[&dyn Param] = &[&workspace, &missing];
        for row in conn.query(SELECT, params).await? {
            let subject: Uuid = row.try_get(0)?;
            let owner = KeyOwner { workspace, subject };
            let wrapped = WrappedKey {
                wrapped_by: u32::try_from(row.try_get::<_, i32>(1)?).unwrap_or(0),
                bytes: row.try_get(2)?,
            };
            let key = self.keys.vault.unwrap(owner, &wrapped)?;
            self.keys.keep(owner, &key);
            sealers.insert(subject, Sealer { key, owner });
        }
        Ok(Sealers(sealers))
    }
}
