//! POST `/api/v1/knowledge`, PUT and DELETE `/api/v1/knowledge/{id}`.

use super::{DocumentBody, DocumentRequest};
use crate::{
    endpoints::personas::version_of,
    extract::{ApiJson, ApiPath, IfMatch},
    operation::{Access, Operation},
    problem::Problem,
    reply::{CreatedTagged, NoContent, Tagged},
};
use actix_web::http::Method;
use mainstay_domain::KnowledgeId;
use mainstay_identity::Permission;
use mainstay_persistence::{Call, Knowledge};

const WRITES: Access = Access::Requires(Permission::WriteKnowledge);

pub(crate) fn create() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/knowledge",
        "knowledge.create",
        WRITES,
        add,
    )
    .summary("Add a document")
    .description("Its text is cut into passages, which searches find and answers cite.")
    .idempotent()
}

pub(crate) fn update() -> Operation {
    Operation::new(
        Method::PUT,
        "/api/v1/knowledge/{id}",
        "knowledge.update",
        WRITES,
        put,
    )
    .summary("Rewrite a document")
}

pub(crate) fn delete() -> Operation {
    Operation::new(
        Method::DELETE,
        "/api/v1/knowledge/{id}",
        "knowledge.delete",
        WRITES,
        remove,
    )
    .summary("Delete a document")
}

async fn add(
    call: Call,
    knowledge: Knowledge,
    ApiJson(body): ApiJson<DocumentRequest>,
) -> Result<CreatedTagged<DocumentBody>, Problem> {
    let document = knowledge.add(&call, &body.into_document()?).await?;
    let version = document.version;
    Ok(CreatedTagged(document.into(), version))
}

async fn put(
    call: Call,
    knowledge: Knowledge,
    ApiPath(id): ApiPath<KnowledgeId>,
    IfMatch(wanted): IfMatch,
    ApiJson(body): ApiJson<DocumentRequest>,
) -> Result<Tagged<DocumentBody>, Problem> {
    let new = body.into_document()?;
    let present = async { Ok(knowledge.find(&call, id).await?.version) };
    let version = version_of(wanted, present).await?;
    let document = knowledge.update(&call, id, version, &new).await?;
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
