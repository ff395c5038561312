//! GET `/metrics`: Prometheus' text format.

use crate::{
    operation::{Access, Operation},
    problem::Problem,
    telemetry::Metrics,
};
use actix_web::{
    HttpResponse,
    http::{Method, StatusCode},
};
use std::sync::Arc;

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/metrics",
        "system.metrics",
        Access::Public,
        metrics,
    )
    .summary("Metrics in Prometheus' text format")
    .description("`docs/METRICS.md` explains each.")
    .answers_text(StatusCode::OK, "text/plain")
    .always()
}

async fn metrics(metrics: Arc<Metrics>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(metrics.render()))
}
