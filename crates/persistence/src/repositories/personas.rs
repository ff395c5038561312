//! Personas.

use super::Shared;
use crate::{
    call::Call,
    database::{Conn, Isolation},
    error::{DbError, Failure},
    page::{Page, PageRequest},
    trail::{Actor, Entry, Event},
};
use jiff::Timestamp;
use mainstay_domain::{Name, Persona, PersonaDraft, PersonaId, Prompt};
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

/// Personas.
#[derive(Clone)]
pub struct Personas(pub(crate) Shared);

macro_rules! columns {
    () => {
        "id, workspace_id, name, description, system_prompt, model, temperature, max_tokens, version, created_at, updated_at"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO personas (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9) RETURNING ",
    columns!()
);

const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM personas WHERE workspace_id = $1 AND id = $2 AND archived_at IS NULL"
);

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM personas WHERE workspace_id = $1 AND archived_at IS NULL AND id > $2 ORDER BY id LIMIT $3"
);

const UPDATE: &str = concat!(
    "UPDATE personas SET name = $3, description = $4, system_prompt = $5, model = $6, temperature = $7, max_tokens = $8,
     version = version + 1, updated_at = $9
     WHERE workspace_id = $1 AND id = $2 AND version = $10 AND archived_at IS NULL RETURNING ",
    columns!()
);

const ARCHIVE: &str = "
UPDATE personas SET archived_at = $3, version = version + 1, updated_at = $3
WHERE workspace_id = $1 AND id = $2 AND archived_at IS NULL";

const KEEP_VERSION: &str = "
INSERT INTO persona_versions (workspace_id, persona_id, version, draft, changed_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6)";

impl Personas {
    /// The living personas of the caller's workspace, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(&self, call: &Call, page: PageRequest) -> Result<Page<Persona>, DbError> {
        let personas = self
            .0
            .run(call, |conn| async move {
                let rows = conn
                    .query(LIST, &[&call.workspace(), &page.floor(), &page.rows()])
                    .await?;
                rows.iter().map(persona).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(Page::of(personas, page, |persona| persona.id.uuid()))
    }

    /// A living persona of the caller's workspace.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn find(&self, call: &Call, id: PersonaId) -> Result<Persona, DbError> {
        self.0
            .run(call, |conn| async move {
                persona(
                    &conn
                        .query_one(FIND, &[&call.workspace(), &id.uuid()])
                        .await?,
                )
            })
            .await
    }

    /// Adds a persona.
    ///
    /// # Errors
    /// `Conflict("name")` when a living persona has the name.
    pub async fn create(&self, call: &Call, draft: &PersonaDraft) -> Result<Persona, DbError> {
        let now = self.0.now();
        let id = PersonaId::at(now);
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let row = conn
                    .query_one(
                        INSERT,
                        &[
                            &id.uuid(),
                            &call.workspace(),
                            &draft.name.as_str(),
                            &draft.description,
                            &draft.system_prompt.as_str(),
                            &draft.model,
                            &draft.temperature,
                            &max_tokens(draft),
                            &now,
                        ],
                    )
                    .await?;
                let created = persona(&row)?;
                trail(&conn, call, now, id, 1, "persona.created", Some(draft)).await?;
                Ok(created)
            })
            .await
    }

    /// Rewrites a persona when it still has `version`.
    ///
    /// # Errors
    /// `NotFound`, `StaleVersion`, `Conflict("name")`.
    pub async fn update(
        &self,
        call: &Call,
        id: PersonaId,
        version: i32,
        draft: &PersonaDraft,
    ) -> Result<Persona, DbError> {
        let now = self.0.now();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let updated = conn
                    .query_opt(
                        UPDATE,
                        &[
                            &call.workspace(),
                            &id.uuid(),
                            &draft.name.as_str(),
                            &draft.description,
                            &draft.system_prompt.as_str(),
                            &draft.model,
                            &draft.temperature,
                            &max_tokens(draft),
                            &now,
                            &version,
                        ],
                    )
                    .await?;
                let Some(row) = updated else {
                    conn.query_one(FIND, &[&call.workspace(), &id.uuid()])
                        .await?;
                    return Err(DbError::StaleVersion.into());
                };
                let changed = persona(&row)?;
                let version = changed.version;
                trail(
                    &conn,
                    call,
                    now,
                    id,
                    version,
                    "persona.changed",
                    Some(draft),
                )
                .await?;
                Ok(changed)
            })
            .await
    }

    /// Takes a persona out of use. What it answered stays.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn archive(&self, call: &Call, id: PersonaId) -> Result<(), DbError> {
        let now = self.0.now();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let archived = conn
                    .execute(ARCHIVE, &[&call.workspace(), &id.uuid(), &now])
                    .await?;
                if archived == 0 {
                    return Err(DbError::NotFound.into());
                }
                trail(&conn, call, now, id, 0, "persona.archived", None).await
            })
            .await
    }
}

/// Keeps the version's text and writes the audit row and the event.
async fn trail(
    conn: &Conn,
    call: &Call,
    now: Timestamp,
    id: PersonaId,
    version: i32,
    action: &'static str,
    draft: Option<&PersonaDraft>,
) -> Result<(), Failure> {
    if let Some(draft) = draft {
        let text = serde_json::to_value(draft)?;
        let (workspace, user) = (call.workspace(), call.user());
        conn.execute(
            KEEP_VERSION,
            &[&workspace, &id.uuid(), &version, &text, &user, &now],
        )
        .await?;
    }
    conn.record(
        Actor::of(call, now),
        Entry {
            action,
            target_type: "persona",
            target: Some(id.uuid()),
            details: json!({"version": version}),
            event: Some(Event {
                topic: "personas".to_owned(),
                kind: action,
                payload: json!({"persona_id": id, "version": version}),
            }),
        },
    )
    .await
}

fn max_tokens(draft: &PersonaDraft) -> i32 {
    i32::try_from(draft.max_tokens).unwrap_or(i32::MAX)
}

fn persona(row: &Row) -> Result<Persona, Failure> {
    let corrupt = |_| DbError::Corrupt("personas");
    Ok(Persona {
        id: row.try_get::<_, Uuid>(0)?.into(),
        workspace_id: row.try_get::<_, Uuid>(1)?.into(),
        draft: PersonaDraft {
            name: Name::parse(row.try_get(2)?).map_err(corrupt)?,
            description: row.try_get(3)?,
            system_prompt: Prompt::parse(row.try_get::<_, String>(4)?).map_err(corrupt)?,
            model: row.try_get(5)?,
            temperature: row.try_get(6)?,
            max_tokens: u32::try_from(row.try_get::<_, i32>(7)?).unwrap_or(1),
        },
        version: row.try_get(8)?,
        created_at: row.try_get(9)?,
        updated_at: row.try_get(10)?,
    })
}
