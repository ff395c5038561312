//! GET `/api/v1/personas` and `/api/v1/personas/{id}`.

use super::PersonaBody;
use crate::{
    extract::{ApiPath, ApiQuery},
    operation::{Access, Operation},
    problem::Problem,
    reply::{Json, Page, Tagged},
    wire::{self, ListQuery},
};
use actix_web::http::Method;
use mainstay_domain::PersonaId;
use mainstay_identity::Permission;
use mainstay_persistence::{Call, Personas};

pub(crate) fn all() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/personas",
        "personas.list",
        Access::Requires(Permission::ReadPersonas),
        list,
    )
    .summary("The workspace's personas")
}

pub(crate) fn one() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/personas/{id}",
        "personas.get",
        Access::Requires(Permission::ReadPersonas),
        get,
    )
    .summary("One persona")
}

async fn list(
    call: Call,
    personas: Personas,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Page<PersonaBody>>, Problem> {
    Ok(Json(wire::page(
        personas.list(&call, query.request()?).await?,
    )))
}

async fn get(
    call: Call,
    personas: Personas,
    ApiPath(id): ApiPath<PersonaId>,
) -> Result<Tagged<PersonaBody>, Problem> {
    let persona = personas.find(&call, id).await?;
    let version = persona.version;
    Ok(Tagged(persona.into(), version))
}
