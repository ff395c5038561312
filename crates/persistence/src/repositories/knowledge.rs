//! The knowledge base. Its texts are the workspace's, not a person's, so they
//! are stored in plain and can be searched.

use super::{Shared, count};
use crate::{
    call::Call,
    database::{Conn, Isolation},
    error::{DbError, Failure},
    page::{Page, PageRequest},
    trail::{Actor, Entry, Event},
};
use jiff::Timestamp;
use mainstay_domain::{KnowledgeDocument, KnowledgeId, Name, Passage, knowledge::passages};
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

/// The knowledge base.
#[derive(Clone)]
pub struct Knowledge(pub(crate) Shared);

/// A document as somebody writes it.
#[derive(Debug, Clone)]
pub struct NewDocument {
    /// Its title.
    pub title: Name,
    /// Where it came from, such as a path or a URL.
    pub source: Option<String>,
    /// The whole text.
    pub content: String,
}

/// A document without its text, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentSummary {
    /// Its id.
    pub id: KnowledgeId,
    /// Its title.
    pub title: Name,
    /// Where it came from.
    pub source: Option<String>,
    /// How many characters its text has.
    pub characters: u64,
    /// Counts its changes from 1.
    pub version: i32,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

const INSERT: &str = "
INSERT INTO knowledge_documents (id, workspace_id, title, source, content, version, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, 1, $6, $6)
RETURNING id, workspace_id, title, source, content, version, created_at, updated_at";

const UPDATE: &str = "
UPDATE knowledge_documents SET title = $3, source = $4, content = $5, version = version + 1, updated_at = $6
WHERE workspace_id = $1 AND id = $2 AND version = $7
RETURNING id, workspace_id, title, source, content, version, created_at, updated_at";

const FIND: &str = "
SELECT id, workspace_id, title, source, content, version, created_at, updated_at
FROM knowledge_documents WHERE workspace_id = $1 AND id = $2";

const DELETE: &str = "DELETE FROM knowledge_documents WHERE workspace_id = $1 AND id = $2";

const LIST: &str = "
SELECT id, title, source, char_length(content)::bigint, version, created_at, updated_at
FROM knowledge_documents WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $3";

const CLEAR_PASSAGES: &str =
    "DELETE FROM knowledge_passages WHERE workspace_id = $1 AND document_id = $2";

const INSERT_PASSAGES: &str = "
INSERT INTO knowledge_passages (workspace_id, document_id, ordinal, title, text)
SELECT $1, $2, ordinal - 1, $3, text FROM unnest($4::text[]) WITH ORDINALITY AS p (text, ordinal)";

// A passage that has every word of the question comes first. Otherwise one that
// has at least half of them will do; fewer is chance. The inner query cuts the
// candidates by rank before words are counted.
pub(crate) const SEARCH: &str = "
WITH question AS (
    SELECT websearch_to_tsquery('english', $2) AS whole,
           tsvector_to_array(to_tsvector('english', $2)) AS words,
           (SELECT string_agg(quote_literal(word), ' | ')
            FROM unnest(tsvector_to_array(to_tsvector('english', $2))) AS word)::tsquery AS any_word
), candidates AS (
    SELECT p.document_id, p.ordinal, p.title, p.text, p.search, p.search @@ q.whole AS has_all,
           ts_rank_cd(p.search, q.any_word, 1) AS rank, q.words
    FROM knowledge_passages p, question q
    WHERE p.workspace_id = $1 AND p.search @@ q.any_word
    ORDER BY has_all DESC, rank DESC LIMIT 100
)
SELECT document_id, title, text, rank FROM candidates
WHERE has_all OR 2 * cardinality(ARRAY(
    SELECT unnest(words) INTERSECT SELECT unnest(tsvector_to_array(search)))) >= cardinality(words)
ORDER BY has_all DESC, rank DESC, document_id, ordinal LIMIT $3";

impl Knowledge {
    /// Adds a document, cut into passages.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add(&self, call: &Call, new: &NewDocument) -> Result<KnowledgeDocument, DbError> {
        let now = self.0.now();
        let id = KnowledgeId::at(now);
        let cut = passages(&new.content);
        let cut = cut.as_slice();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let (workspace, title) = (call.workspace(), new.title.as_str());
                let row = conn
                    .query_one(
                        INSERT,
                        &[
                            &id.uuid(),
                            &workspace,
                            &title,
                            &new.source,
                            &new.content,
                            &now,
                        ],
                    )
                    .await?;
                conn.execute(INSERT_PASSAGES, &[&workspace, &id.uuid(), &title, &cut])
                    .await?;
                trail(&conn, call, now, id, "knowledge.added").await?;
                document(&row)
            })
            .await
    }

    /// Rewrites a document when it still has `version`.
    ///
    /// # Errors
    /// `NotFound`, `StaleVersion`.
    pub async fn update(
        &self,
        call: &Call,
        id: KnowledgeId,
        version: i32,
        new: &NewDocument,
    ) -> Result<KnowledgeDocument, DbError> {
        let now = self.0.now();
        let cut = passages(&new.content);
        let cut = cut.as_slice();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let (workspace, title) = (call.workspace(), new.title.as_str());
                let updated = conn
                    .query_opt(
                        UPDATE,
                        &[
                            &workspace,
                            &id.uuid(),
                            &title,
                            &new.source,
                            &new.content,
                            &now,
                            &version,
                        ],
                    )
                    .await?;
                let Some(row) = updated else {
                    conn.query_one(FIND, &[&workspace, &id.uuid()]).await?;
                    return Err(DbError::StaleVersion.into());
                };
                conn.execute(CLEAR_PASSAGES, &[&workspace, &id.uuid()])
                    .await?;
                conn.execute(INSERT_PASSAGES, &[&workspace, &id.uuid(), &title, &cut])
                    .await?;
                trail(&conn, call, now, id, "knowledge.changed").await?;
                document(&row)
            })
            .await
    }

    /// Deletes a document with its passages.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete(&self, call: &Call, id: KnowledgeId) -> Result<(), DbError> {
        let now = self.0.now();
        self.0
            .transaction(Isolation::ReadCommitted, call, |conn| async move {
                let deleted = conn
                    .execute(DELETE, &[&call.workspace(), &id.uuid()])
                    .await?;
                if deleted == 0 {
                    return Err(DbError::NotFound.into());
                }
                trail(&conn, call, now, id, "knowledge.deleted").await
            })
            .await
    }

    /// A document of the caller's workspace.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn find(&self, call: &Call, id: KnowledgeId) -> Result<KnowledgeDocument, DbError> {
        self.0
            .run(call, |conn| async move {
                document(
                    &conn
                        .query_one(FIND, &[&call.workspace(), &id.uuid()])
                        .await?,
                )
            })
            .await
    }

    /// The documents of the caller's workspace, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(
        &self,
        call: &Call,
        page: PageRequest,
    ) -> Result<Page<DocumentSummary>, DbError> {
        let documents = self
            .0
            .run(call, |conn| async move {
                let rows = conn
                    .query(LIST, &[&call.workspace(), &page.floor(), &page.rows()])
                    .await?;
                rows.iter().map(summary).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(Page::of(documents, page, |document| document.id.uuid()))
    }

    /// The passages that answer `question` best, best first: those with all of
    /// its words, then those with at least half of them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn search(
        &self,
        call: &Call,
        question: &str,
        limit: u32,
    ) -> Result<Vec<Passage>, DbError> {
        let limit = i64::from(limit.clamp(1, 50));
        self.0
            .run(call, |conn| async move {
                let rows = conn
                    .query(SEARCH, &[&call.workspace(), &question, &limit])
                    .await?;
                rows.iter()
                    .map(|row| {
                        Ok(Passage {
                            document_id: row.try_get::<_, Uuid>(0)?.into(),
                            title: row.try_get(1)?,
                            text: row.try_get(2)?,
                            rank: row.try_get(3)?,
                        })
                    })
                    .collect::<Result<Vec<_>, Failure>>()
            })
            .await
    }
}

async fn trail(
    conn: &Conn,
    call: &Call,
    now: Timestamp,
    id: KnowledgeId,
    action: &'static str,
) -> Result<(), Failure> {
    conn.record(
        Actor::of(call, now),
        Entry {
            action,
            target_type: "knowledge",
            target: Some(id.uuid()),
            details: json!({}),
            event: Some(Event {
                topic: "knowledge".to_owned(),
                kind: action,
                payload: json!({"document_id": id}),
            }),
        },
    )
    .await
}

fn title(text: &str) -> Result<Name, Failure> {
    Ok(Name::parse(text).map_err(|_| DbError::Corrupt("knowledge_documents"))?)
}

fn document(row: &Row) -> Result<KnowledgeDocument, Failure> {
    Ok(KnowledgeDocument {
        id: row.try_get::<_, Uuid>(0)?.into(),
        workspace_id: row.try_get::<_, Uuid>(1)?.into(),
        title: title(row.try_get(2)?)?,
        source: row.try_get(3)?,
        content: row.try_get(4)?,
        version: row.try_get(5)?,
        created_at: row.try_get(6)?,
        updated_at: row.try_get(7)?,
    })
}

fn summary(row: &Row) -> Result<DocumentSummary, Failure> {
    Ok(DocumentSummary {
        id: row.try_get::<_, Uuid>(0)?.into(),
        title: title(row.try_get(1)?)?,
        source: row.try_get(2)?,
        characters: count(row.try_get(3)?),
        version: row.try_get(4)?,
        created_at: row.try_get(5)?,
        updated_at: row.try_get(6)?,
    })
}
