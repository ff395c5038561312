//! W3C trace context: where a request comes from, and what is handed on.

use actix_web::http::header::{HeaderMap, HeaderName};
use opentelemetry::{
    global,
    propagation::{Extractor, Injector},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header's name.
pub(crate) const HEADER: &str = "traceparent";

/// Makes `span` a part of the trace that `headers` tell of.
pub(super) fn join(span: &Span, headers: &HeaderMap) {
    let parent =
        global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
    // Fails only when no exporter listens, and then nobody misses it.
    let _ = span.set_parent(parent);
}

/// What is handed on: the present span where spans are exported, else what
/// was sent, so that the trace is not broken here. What is not well-formed
/// goes no further.
pub(crate) fn onwards(sent: Option<&str>, exports: bool) -> Option<String> {
    let own = exports.then(|| {
        let mut carried = Carried::default();
        let context = Span::current().context();
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut carried);
        });
        carried.0
    });
    own.flatten().or_else(|| {
        let sent = sent?;
        id(sent).map(|_| sent.to_owned())
    })
}

#[derive(Default)]
struct Carried(Option<String>);

impl Injector for Carried {
    fn set(&mut self, key: &str, value: String) {
        if key == HEADER {
            self.0 = Some(value);
        }
    }
}

/// The trace id of a well-formed `traceparent`.
pub(super) fn id(traceparent: &str) -> Option<&str> {
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

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }
    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{id, onwards};

    #[test]
    fn only_a_well_formed_traceparent_is_taken() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = format!("00-{trace}-00f067aa0ba902b7-01");
        assert_eq!(id(&good), Some(trace));
        assert_eq!(onwards(Some(&good), false), Some(good));
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(id(bad), None, "{bad}");
            assert_eq!(onwards(Some(bad), false), None, "{bad}");
        }
    }
}
