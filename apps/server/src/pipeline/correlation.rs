//! The correlation id, and the request's span with its trace parent.

use super::trace;
use crate::services::Services;
use actix_web::HttpRequest;
use mainstay_domain::CorrelationId;
use tracing::Span;
use uuid::Uuid;

/// The header's name.
pub(super) const HEADER: &str = "x-correlation-id";

/// The client's id when it is a UUID, else a new one.
pub(super) fn of(http: &HttpRequest, services: &Services) -> CorrelationId {
    http.headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| Uuid::parse_str(text).ok())
        .map_or_else(|| CorrelationId::at(services.now()), CorrelationId::from)
}

/// The span that everything about the request stands in. A W3C `traceparent`
/// becomes its parent when spans are exported.
pub(super) fn span(
    http: &HttpRequest,
    correlation_id: CorrelationId,
    route: &'static str,
    services: &Services,
) -> Span {
    let span = tracing::info_span!(
        target: "mainstay_server",
        "request",
        correlation_id = %correlation_id,
        method = super::method(http.method()),
        route,
        status = tracing::field::Empty,
        trace_id = tracing::field::Empty,
    );
    if let Some(trace_id) = http
        .headers()
        .get(trace::HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(trace::id)
    {
        span.record("trace_id", trace_id);
        if services.settings.telemetry.otlp_endpoint.is_some() {
            trace::join(&span, http.headers());
        }
    }
    span
}
