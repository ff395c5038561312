//! GET `/ready`: whether requests should be sent here.

use crate::{
    operation::{Access, Operation},
    problem::Problem,
    readiness::{Overall, Readiness, Report},
    reply::{Json, Reply as _},
};
use actix_web::{
    HttpResponse,
    http::{
        Method, StatusCode,
        header::{HeaderValue, RETRY_AFTER},
    },
};
use std::sync::Arc;

pub(crate) fn operation() -> Operation {
    Operation::new(Method::GET, "/ready", "system.ready", Access::Public, ready)
        .summary("Whether requests should be sent here, component by component")
        .description(
            "503 while something required has not worked yet and while the process stops. \
             200 with the status `degraded` when something is away and plan B answers.",
        )
        .answers::<Report>(StatusCode::OK)
        .answers::<Report>(StatusCode::SERVICE_UNAVAILABLE)
        .always()
}

async fn ready(readiness: Arc<Readiness>) -> Result<HttpResponse, Problem> {
    let report = readiness.report();
    let refuses = matches!(report.status, Overall::Starting | Overall::Stopping);
    let mut response = Json(report).respond();
    if refuses {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}
