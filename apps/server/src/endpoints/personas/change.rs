//! POST `/api/v1/personas`, PUT and DELETE `/api/v1/personas/{id}`.

use super::{PersonaBody, PersonaRequest, version_of};
use crate::{
    extract::{ApiJson, ApiPath, IfMatch},
    operation::{Access, Operation},
    problem::Problem,
    reply::{CreatedTagged, NoContent, Tagged},
};
use actix_web::http::Method;
use mainstay_domain::PersonaId;
use mainstay_identity::Permission;
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::{Call, Personas};

const WRITES: Access = Access::Requires(Permission::WritePersonas);

pub(crate) fn create() -> Operation {
    Operation::new(
        Method::POST,
        "/api/v1/personas",
        "personas.create",
        WRITES,
        add,
    )
    .summary("Make a persona")
    .idempotent()
}

pub(crate) fn update() -> Operation {
    Operation::new(
        Method::PUT,
        "/api/v1/personas/{id}",
        "personas.update",
        WRITES,
        put,
    )
    .summary("Replace what is written about a persona")
    .description("Answers that were cached for its former version are never served again.")
}

pub(crate) fn delete() -> Operation {
    Operation::new(
        Method::DELETE,
        "/api/v1/personas/{id}",
        "personas.delete",
        WRITES,
        archive,
    )
    .summary("Archive a persona")
    .description("What it answered stays readable.")
}

async fn add(
    call: Call,
    orchestrator: Orchestrator,
    ApiJson(body): ApiJson<PersonaRequest>,
) -> Result<CreatedTagged<PersonaBody>, Problem> {
    let persona = orchestrator
        .create_persona(&call, &body.into_draft()?)
        .await?;
    let version = persona.version;
    Ok(CreatedTagged(persona.into(), version))
}

async fn put(
    call: Call,
    (orchestrator, personas): (Orchestrator, Personas),
    ApiPath(id): ApiPath<PersonaId>,
    IfMatch(wanted): IfMatch,
    ApiJson(body): ApiJson<PersonaRequest>,
) -> Result<Tagged<PersonaBody>, Problem> {
    let present = async { Ok(personas.find(&call, id).await?.version) };
    let version = version_of(wanted, present).await?;
    let persona = orchestrator
        .update_persona(&call, id, version, &body.into_draft()?)
        .await?;
    let version = persona.version;
    Ok(Tagged(persona.into(), version))
}

async fn archive(
    call: Call,
    orchestrator: Orchestrator,
    ApiPath(id): ApiPath<PersonaId>,
) -> Result<NoContent, Problem> {
    orchestrator.archive_persona(&call, id).await?;
    Ok(NoContent)
}
