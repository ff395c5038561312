//! The knowledge base.

use crate::{
    endpoints::personas::version_of,
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch},
    operation::{Access, Operation},
    problem::Problem,
    reply::{CreatedTagged, Json, NoContent, Page, Tagged},
    wire::{self, ListQuery},
};
use actix_web::http::Method;
use jiff::Timestamp;
use mainstay_domain::{KnowledgeDocument, KnowledgeId, Name, Passage};
use mainstay_identity::Permission;
use mainstay_persistence::{Call, DocumentSummary, Knowledge, NewDocument};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const READS: Access = Access::Requires(Permission::ReadKnowledge);
const WRITES: Access = Access::Requires(Permission::WriteKnowledge);

/// A document to add, or what replaces one.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentRequest {
    /// Its title.
    #[garde(length(chars, min = 1, max = 120))]
    title: String,
    /// Where it came from, such as a path or a URL.
    #[garde(length(chars, max = 2_000))]
    source: Option<String>,
    /// The whole text.
    #[garde(length(chars, min = 1, max = 500_000))]
    content: String,
}

impl DocumentRequest {
    fn into_new(self) -> Result<NewDocument, Problem> {
        Ok(NewDocument {
            title: Name::parse(&self.title)
                .map_err(|error| Problem::field("/title", error.to_string()))?,
            source: self.source,
            content: self.content,
        })
    }
}

/// A document.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Document")]
pub(crate) struct DocumentBody {
    /// Its id.
    id: Uuid,
    /// Its title.
    title: String,
    /// Where it came from.
    source: Option<String>,
    /// The whole text.
    content: String,
    /// Counts its changes from 1; also the `ETag`.
    version: i32,
    /// When it was added.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

/// A document without its text.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DocumentSummary")]
pub(crate) struct SummaryBody {
    /// Its id.
    id: Uuid,
    /// Its title.
    title: String,
    /// Where it came from.
    source: Option<String>,
    /// How long it is, in characters.
    characters: u64,
    /// Counts its changes from 1.
    version: i32,
    /// When it was added.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

/// What to look for.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchQuery {
    /// The question or words.
    #[garde(length(chars, min = 1, max = 1_000))]
    q: String,
    /// How many passages, 1 to 50. Default 5.
    #[garde(range(min = 1, max = 50))]
    limit: Option<u32>,
}

/// Passages that match, best first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Found {
    /// The passages.
    items: Vec<PassageBody>,
}

/// A passage that matches.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Passage")]
pub(crate) struct PassageBody {
    /// The document that it stands in.
    document_id: Uuid,
    /// The document's title.
    title: String,
    /// The text.
    text: String,
    /// How well it matches; comparable within one search only.
    rank: f32,
}

impl From<KnowledgeDocument> for DocumentBody {
    fn from(document: KnowledgeDocument) -> Self {
        Self {
            id: document.id.uuid(),
            title: document.title.into(),
            source: document.source,
            content: document.content,
            version: document.version,
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    }
}

impl From<DocumentSummary> for SummaryBody {
    fn from(summary: DocumentSummary) -> Self {
        Self {
            id: summary.id.uuid(),
            title: summary.title.into(),
            source: summary.source,
            characters: summary.characters,
            version: summary.version,
            created_at: summary.created_at,
            updated_at: summary.updated_at,
        }
    }
}

impl From<Passage> for PassageBody {
    fn from(passage: Passage) -> Self {
        Self {
            document_id: passage.document_id.uuid(),
            title: passage.title,
            text: passage.text,
            rank: passage.rank,
        }
    }
}

/// The area's operations.
pub(crate) fn operations() -> Vec<Operation> {
    let path = "/api/v1/knowledge";
    let one = "/api/v1/knowledge/{id}";
    vec![
        Operation::new(Method::GET, path, "knowledge.list", READS, list)
            .summary("The documents of the knowledge base"),
        Operation::new(Method::POST, path, "knowledge.add", WRITES, add)
            .summary("Add a document")
            .idempotent(),
        Operation::new(
            Method::GET,
            "/api/v1/knowledge/search",
            "knowledge.search",
            READS,
            search,
        )
        .summary("Passages that match, best first"),
        Operation::new(Method::GET, one, "knowledge.get", READS, get).summary("One document"),
        Operation::new(Method::PUT, one, "knowledge.update", WRITES, put)
            .summary("Replace a document"),
        Operation::new(Method::DELETE, one, "knowledge.delete", WRITES, remove)
            .summary("Remove a document"),
    ]
}

async fn list(
    call: Call,
    knowledge: Knowledge,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Page<SummaryBody>>, Problem> {
    let page = knowledge.list(&call, query.request()?).await?;
    Ok(Json(wire::page(page)))
}

async fn add(
    call: Call,
    knowledge: Knowledge,
    ApiJson(body): ApiJson<DocumentRequest>,
) -> Result<CreatedTagged<DocumentBody>, Problem> {
    let document = knowledge.add(&call, &body.into_new()?).await?;
    let version = document.version;
    Ok(CreatedTagged(document.into(), version))
}

async fn search(
    call: Call,
    knowledge: Knowledge,
    ApiQuery(query): ApiQuery<SearchQuery>,
) -> Result<Json<Found>, Problem> {
    let limit = query.limit.unwrap_or(5);
    let passages = knowledge.search(&call, &query.q, limit).await?;
    Ok(Json(Found {
        items: passages.into_iter().map(Into::into).collect(),
    }))
}

async fn get(
    call: Call,
    knowledge: Knowledge,
    ApiPath(id): ApiPath<KnowledgeId>,
) -> Result<Tagged<DocumentBody>, Problem> {
    let document = knowledge.find(&call, id).await?;
    let version = document.version;
    Ok(Tagged(document.into(), version))
}

async fn put(
    call: Call,
    knowledge: Knowledge,
    ApiPath(id): ApiPath<KnowledgeId>,
    IfMatch(wanted): IfMatch,
    ApiJson(body): ApiJson<DocumentRequest>,
) -> Result<Tagged<DocumentBody>, Problem> {
    let present = async { Ok(knowledge.find(&call, id).await?.version) };
    let version = version_of(wanted, present).await?;
    let document = knowledge
        .update(&call, id, version, &body.into_new()?)
        .await?;
    let version = document.version;
    Ok(Tagged(document.into(), version))
}

async fn remove(
    call: Call,
    knowledge: Knowledge,
    ApiPath(id): ApiPath<KnowledgeId>,
) -> Result<NoContent, Problem> {
    knowledge.delete(&call, id).await?;
    Ok(NoContent)
}
