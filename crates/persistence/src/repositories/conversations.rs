//! Conversations. Only their owner sees them.

use super::Shared;
use crate::{
    call::Call,
    database::Isolation,
    error::{DbError, Failure},
    keys::{Field, Sealer},
    page::{Page, PageRequest},
    trail::{Actor, Entry, Event},
};
use mainstay_domain::{Conversation, ConversationId, Name, PersonaId};
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

pub(super) const TITLE: Field = Field::of("conversations", "title");

/// Conversations.
#[derive(Clone)]
pub struct Conversations(pub(crate) Shared);

/// A new conversation.
#[derive(Debug, Clone, Default)]
pub struct NewConversation {
    /// Its title.
    pub title: Option<Name>,
    /// The persona that answers unless a message names another.
    pub persona_id: Option<PersonaId>,
}

/// What changes of a conversation; `None` stays, `Some(None)` is taken away.
#[derive(Debug, Clone, Default)]
pub struct ConversationPatch {
    /// Its title.
    pub title: Option<Option<Name>>,
    /// The persona that answers unless a message names another.
    pub persona_id: Option<Option<PersonaId>>,
}

const INSERT: &str = "
INSERT INTO conversations (id, workspace_id, owner_id, agent_id, persona_id, title_sealed, version, created_at, updated_at)
VALUES ($1, $2, $3, NULL, $4, $5, 1, $6, $6)";

const FIND: &str = "
SELECT id, workspace_id, owner_id, agent_id, persona_id, title_sealed, version, created_at, updated_at
FROM conversations WHERE workspace_id = $1 AND owner_id = $2 AND id = $3";

pub(crate) const LIST: &str = "
SELECT id, workspace_id, owner_id, agent_id, persona_id, title_sealed, version, created_at, updated_at
FROM conversations WHERE workspace_id = $1 AND owner_id = $2 AND id < $3
ORDER BY id DESC LIMIT $4";

const UPDATE: &str = "
UPDATE conversations SET
    title_sealed = CASE WHEN $4 THEN $5 ELSE title_sealed END,
    persona_id = CASE WHEN $6 THEN $7 ELSE persona_id END,
    version = version + 1, updated_at = $8
WHERE workspace_id = $1 AND owner_id = $2 AND id = $3 AND ($9::integer IS NULL OR version = $9)
RETURNING id, workspace_id, owner_id, agent_id, persona_id, title_sealed, version, created_at, updated_at";

const DELETE: &str = "
DELETE FROM conversations WHERE workspace_id = $1 AND owner_id = $2 AND id = $3";

impl Conversations {
    /// Begins a conversation of the caller.
    ///
    /// # Errors
    /// `NotFound` when the persona is not of the workspace.
    pub async fn create(
        &self,
        call: &Call,
        new: &NewConversation,
    ) -> Result<Conversation, DbError> {
        let now = self.0.now();
        let id = ConversationId::at(now);
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let sealer = self.0.sealer(&conn, workspace, owner).await?;
                let title = new.title.as_ref();
                let title = title
                    .map(|title| sealer.seal(TITLE, id.uuid(), title.as_str().as_bytes()))
                    .transpose()?;
                let persona = new.persona_id.map(PersonaId::uuid);
                conn.execute(
                    INSERT,
                    &[&id.uuid(), &workspace, &owner, &persona, &title, &now],
                )
                .await?;
                conn.record(Actor::of(call, now), entry(id, "conversation.created"))
                    .await?;
                Ok(Conversation {
                    id,
                    workspace_id: workspace.into(),
                    owner_id: owner.into(),
                    agent_id: None,
                    persona_id: new.persona_id,
                    title: new.title.as_ref().map(|title| title.as_str().to_owned()),
                    version: 1,
                    created_at: now,
                    updated_at: now,
                })
            })
            .await
    }

    /// A conversation of the caller.
    ///
    /// # Errors
    /// `NotFound`, also when it is somebody else's.
    pub async fn find(&self, call: &Call, id: ConversationId) -> Result<Conversation, DbError> {
        self.0
            .run(call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let row = conn
                    .query_one(FIND, &[&workspace, &owner, &id.uuid()])
                    .await?;
                let sealer = self.0.sealer(&conn, workspace, owner).await?;
                conversation(&row, &sealer)
            })
            .await
    }

    /// The caller's conversations, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(
        &self,
        call: &Call,
        page: PageRequest,
    ) -> Result<Page<Conversation>, DbError> {
        let conversations = self
            .0
            .run(call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let rows = conn
                    .query(LIST, &[&workspace, &owner, &page.ceiling(), &page.rows()])
                    .await?;
                if rows.is_empty() {
                    return Ok(Vec::new());
                }
                let sealer = self.0.sealer(&conn, workspace, owner).await?;
                rows.iter().map(|row| conversation(row, &sealer)).collect()
            })
            .await?;
        Ok(Page::of(conversations, page, |it| it.id.uuid()))
    }

    /// Changes a conversation of the caller, when it still has `version` if one is given.
    ///
    /// # Errors
    /// `NotFound`, `StaleVersion`.
    pub async fn update(
        &self,
        call: &Call,
        id: ConversationId,
        version: Option<i32>,
        patch: &ConversationPatch,
    ) -> Result<Conversation, DbError> {
        let now = self.0.now();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let sealer = self.0.sealer(&conn, workspace, owner).await?;
                let title = patch.title.as_ref().and_then(Option::as_ref);
                let title = title
                    .map(|title| sealer.seal(TITLE, id.uuid(), title.as_str().as_bytes()))
                    .transpose()?;
                let persona = patch.persona_id.flatten().map(PersonaId::uuid);
                let updated = conn
                    .query_opt(
                        UPDATE,
                        &[
                            &workspace,
                            &owner,
                            &id.uuid(),
                            &patch.title.is_some(),
                            &title,
                            &patch.persona_id.is_some(),
                            &persona,
                            &now,
                            &version,
                        ],
                    )
                    .await?;
                let Some(row) = updated else {
                    conn.query_one(FIND, &[&workspace, &owner, &id.uuid()])
                        .await?;
                    return Err(DbError::StaleVersion.into());
                };
                conn.record(Actor::of(call, now), entry(id, "conversation.changed"))
                    .await?;
                conversation(&row, &sealer)
            })
            .await
    }

    /// Deletes a conversation of the caller with its messages.
    ///
    /// # Errors
    /// `NotFound`; `Conflict("agent")` when an agent owns it.
    pub async fn delete(&self, call: &Call, id: ConversationId) -> Result<(), DbError> {
        let now = self.0.now();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let row = conn
                    .query_one(FIND, &[&workspace, &owner, &id.uuid()])
                    .await?;
                if row.try_get::<_, Option<Uuid>>(3)?.is_some() {
                    return Err(DbError::Conflict("agent").into());
                }
                conn.execute(DELETE, &[&workspace, &owner, &id.uuid()])
                    .await?;
                conn.record(Actor::of(call, now), entry(id, "conversation.deleted"))
                    .await
            })
            .await
    }
}

fn entry(id: ConversationId, action: &'static str) -> Entry {
    Entry {
        action,
        target_type: "conversation",
        target: Some(id.uuid()),
        details: json!({}),
        event: Some(Event {
            topic: format!("conversation.{id}"),
            kind: action,
            payload: json!({"conversation_id": id}),
        }),
    }
}

fn conversation(row: &Row, sealer: &Sealer) -> Result<Conversation, Failure> {
    let id: Uuid = row.try_get(0)?;
    let title: Option<&[u8]> = row.try_get(5)?;
    Ok(Conversation {
        id: id.into(),
        workspace_id: row.try_get::<_, Uuid>(1)?.into(),
        owner_id: row.try_get::<_, Uuid>(2)?.into(),
        agent_id: row.try_get::<_, Option<Uuid>>(3)?.map(Into::into),
        persona_id: row.try_get::<_, Option<Uuid>>(4)?.map(Into::into),
        title: title
            .map(|sealed| sealer.open(TITLE, id, sealed))
            .transpose()?,
        version: row.try_get(6)?,
        created_at: row.try_get(7)?,
        updated_at: row.try_get(8)?,
    })
}
