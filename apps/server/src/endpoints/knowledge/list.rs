//! GET `/api/v1/knowledge` and `/api/v1/knowledge/{id}`.

use super::{DocumentBody, SummaryBody};
use crate::{
    extract::{ApiPath, ApiQuery},
    operation::{Access, Operation},
    problem::Problem,
    reply::{Json, Page, Tagged},
    wire::{self, ListQuery},
};
use actix_web::http::Method;
use mainstay_domain::KnowledgeId;
use mainstay_identity::Permission;
use mainstay_persistence::{Call, Knowledge};

const READS: Access = Access::Requires(Permission::ReadKnowledge);

pub(crate) fn all() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/knowledge",
        "knowledge.list",
        READS,
        list,
    )
    .summary("The workspace's documents, without their texts")
    .description("Oldest first.")
}

pub(crate) fn one() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/knowledge/{id}",
        "knowledge.get",
        READS,
        get,
    )
    .summary("One document with its text")
}

async fn list(
    call: Call,
    knowledge: Knowledge,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Page<SummaryBody>>, Problem> {
    let page = knowledge.list(&call, query.request()?).await?;
    Ok(Json(wire::page(page)))
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
