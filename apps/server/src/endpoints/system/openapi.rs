//! GET `/openapi.json`: the contract of everything that works.

use crate::{
    operation::{Access, Operation},
    problem::Problem,
    services::OpenApi,
};
use actix_web::{
    HttpResponse,
    http::{Method, StatusCode},
};

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/openapi.json",
        "system.openapi",
        Access::Public,
        openapi,
    )
    .summary("This document")
    .answers_text(StatusCode::OK, "application/json")
    .always()
}

async fn openapi(document: OpenApi) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(document.0))
}
