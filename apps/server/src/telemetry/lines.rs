//! Log lines: one JSON object each, with allow-listed fields only.
//!
//! A field that is not on the list is left out, so that a careless `?request`
//! somewhere cannot print a secret or personal data. Every line inside a
//! request carries the request's correlation id, taken from its span.
//!
//! Levels are DEBUG, INFO, WARNING, ERROR and CRITICAL. CRITICAL is an error
//! event with the marker field `critical = true`: somebody must act now.

use super::writer::LogWriter;
use mainstay_resilience::{Clock as _, SystemClock};
use serde_json::{Map, Value};
use std::fmt;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// The fields that may be written, besides the message.
pub(super) const ALLOWED_FIELDS: &[&str] = &[
    "address",
    "attempt",
    "attempts",
    "bytes",
    "cache",
    "code",
    "component",
    "correlation_id",
    "count",
    "critical",
    "dependency",
    "elapsed_ms",
    "error",
    "event",
    "from",
    "index",
    "kind",
    "lag_ms",
    "message_id",
    "method",
    "migration",
    "mode",
    "model",
    "name",
    "namespace",
    "of",
    "phase",
    "policy",
    "port",
    "provider",
    "reason",
    "retry_after_ms",
    "route",
    "rule_id",
    "run_id",
    "scope",
    "source",
    "state",
    "status",
    "tier",
    "to",
    "topic",
    "trace_id",
    "unfinished",
    "url",
    "user_id",
    "version",
    "workspace_id",
];

/// Writes events as JSON lines.
#[derive(Debug)]
pub struct JsonLines {
    writer: LogWriter,
}

impl JsonLines {
    /// Lines go to `writer`.
    #[must_use]
    pub fn new(writer: LogWriter) -> Self {
        Self { writer }
    }
}

/// The allowed fields of a span, kept with the span.
struct Kept(Map<String, Value>);

/// Collects allowed fields.
struct Collect<'a> {
    fields: &'a mut Map<String, Value>,
    message: Option<String>,
}

impl Collect<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = Some(match value {
                Value::String(text) => text,
                other => other.to_string(),
            });
        } else if ALLOWED_FIELDS.binary_search(&field.name()).is_ok() {
            self.fields.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(value.to_owned()));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl<S> Layer<S> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = Map::new();
        attributes.record(&mut Collect {
            fields: &mut fields,
            message: None,
        });
        span.extensions_mut().insert(Kept(fields));
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(Kept(fields)) = span.extensions_mut().get_mut::<Kept>() {
            values.record(&mut Collect {
                fields,
                message: None,
            });
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut line = Map::new();
        let now = SystemClock.unix_time();
        let timestamp = i128::try_from(now.as_nanos())
            .ok()
            .and_then(|nanos| jiff::Timestamp::from_nanosecond(nanos).ok());
        line.insert(
            "timestamp".to_owned(),
            timestamp.map_or(Value::Null, |at| Value::String(format!("{at:.6}"))),
        );
        let mut fields = Map::new();
        let mut collect = Collect {
            fields: &mut fields,
            message: None,
        };
        event.record(&mut collect);
        let message = collect.message.take().unwrap_or_default();
        let critical = fields.remove("critical") == Some(Value::Bool(true));
        let metadata = event.metadata();
        line.insert(
            "level".to_owned(),
            level(*metadata.level(), critical).into(),
        );
        line.insert("target".to_owned(), metadata.target().into());
        line.insert("message".to_owned(), message.into());
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(Kept(kept)) = span.extensions().get::<Kept>() {
                for (name, value) in kept {
                    line.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        line.append(&mut fields);
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        self.writer.line(bytes);
    }
}

fn level(level: Level, critical: bool) -> &'static str {
    match level {
        Level::ERROR if critical => "CRITICAL",
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(log: impl FnOnce()) -> Vec<Value> {
        let sink = Sink::default();
        let (writer, guard) = LogWriter::start(sink.clone()).unwrap();
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(writer));
        tracing::subscriber::with_default(subscriber, log);
        drop(guard);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn the_allow_list_is_sorted_so_that_it_can_be_searched() {
        assert!(ALLOWED_FIELDS.is_sorted());
    }

    #[test]
    fn lines_inside_a_request_carry_its_correlation_id() {
        let lines = written(|| {
            let span = tracing::info_span!("request", correlation_id = "abc", email = "ada@x.org");
            let _inside = span.enter();
            tracing::info_span!("deeper").in_scope(|| tracing::warn!(code = "X", "slow"));
        });
        assert_eq!(lines[0]["correlation_id"], "abc");
        assert_eq!(lines[0]["level"], "WARNING");
        assert_eq!(lines[0]["code"], "X");
        assert_eq!(lines[0]["message"], "slow");
        assert!(!lines[0].to_string().contains("ada"));
    }

    #[test]
    fn a_field_that_is_not_listed_is_left_out() {
        let lines = written(|| tracing::info!(password = "hunter2", "login"));
        assert!(!lines[0].to_string().contains("hunter2"));
    }

    #[test]
    fn the_marker_makes_an_error_critical() {
        let lines = written(|| {
            tracing::error!(critical = true, "keys are gone");
            tracing::error!("one request failed");
            tracing::debug!("detail");
        });
        let levels: Vec<&str> = lines.iter().map(|l| l["level"].as_str().unwrap()).collect();
        assert_eq!(levels, ["CRITICAL", "ERROR", "DEBUG"]);
    }
}
