//! The correlation id, and the request's span with its trace parent.

use crate::services::Services;
use actix_web::HttpRequest;
use mainstay_domain::CorrelationId;
use opentelemetry::{global, propagation::Extractor};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
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
    let Some(trace_id) = http
        .headers()
        .get("traceparent")
        .and_then(|value| value.to_str().ok())
        .and_then(trace_id)
    else {
        return span;
    };
    span.record("trace_id", trace_id);
    if services.settings.telemetry.otlp_endpoint.is_some() {
        let parent = global::get_text_map_propagator(|propagator| {
            propagator.extract(&Headers(http.headers()))
        });
        // Fails only when no exporter listens, and then nobody misses it.
        let _ = span.set_parent(parent);
    }
    span
}

/// The trace id of a well-formed `traceparent`.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let well_formed = hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && trace.bytes().any(|b| b != b'0')
        && hex(parent, 16)
        && parent.bytes().any(|b| b != b'0')
        && hex(flags, 2);
    well_formed.then_some(trace)
}

struct Headers<'a>(&'a actix_web::http::header::HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }
    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::trace_id;

    #[test]
    fn only_a_well_formed_traceparent_is_taken() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = format!("00-{trace}-00f067aa0ba902b7-01");
        assert_eq!(trace_id(&good), Some(trace));
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }
}
