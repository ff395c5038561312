//! Logs, traces and metrics leave the process here and nowhere else.

mod lines;
mod metrics;
mod process;
mod writer;

pub use lines::JsonLines;
pub use metrics::{Metrics, Sampler, describe as describe_metrics};
pub use writer::{LogWriter, WriterGuard};

use crate::settings::{LogFormat, LogLevel, Telemetry};
use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler as TraceSampler, SdkTracerProvider},
};
use std::time::Duration;
use tracing_subscriber::{
    Layer as _, Registry, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter of spans refused its settings.
    #[error("telemetry.otlp_endpoint cannot be used: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Something else in the process has taken the subscriber's place.
    #[error("logging was already set up: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
    /// The thread that writes log lines could not be started.
    #[error("the log writer could not start: {0}")]
    Writer(#[from] std::io::Error),
}

/// Flushes logs and spans when the process ends, on good and bad paths alike.
#[must_use = "dropping it ends telemetry"]
#[derive(Debug)]
pub struct TelemetryGuard {
    traces: Option<SdkTracerProvider>,
    // Dropped after the traces, so that their last complaint is still written.
    _writer: WriterGuard,
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take()
            && let Err(error) = traces.shutdown_with_timeout(Duration::from_secs(2))
        {
            tracing::warn!(%error, "the last spans may not have been exported");
        }
    }
}

/// Sets up logging and, when an endpoint is configured, tracing for the
/// whole process. Call once, from `main`.
///
/// # Errors
/// [`TelemetryError`] when it cannot be set up.
pub fn start(settings: &Telemetry) -> Result<TelemetryGuard, TelemetryError> {
    let (writer, guard) = LogWriter::start(std::io::stdout())?;
    let traces = tracer(settings)?;
    let spans = traces
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("mainstay")));
    let (json, text) = match settings.log_format {
        LogFormat::Json => (Some(JsonLines::new(writer)), None),
        LogFormat::Text => {
            let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
            (None, Some(layer))
        }
    };
    Registry::default()
        .with(spans)
        .with(json.with_filter(targets(settings.log_level)))
        .with(text.with_filter(targets(settings.log_level)))
        .try_init()?;
    Ok(TelemetryGuard {
        traces,
        _writer: guard,
    })
}

/// Our own crates at the configured level; everybody else only when it matters,
/// since their fields are not ours to vouch for.
fn targets(level: LogLevel) -> Targets {
    use tracing::Level;
    let own = match level {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warning => Level::WARN,
        LogLevel::Error => Level::ERROR,
    };
    Targets::new()
        .with_default(own.min(Level::WARN))
        .with_target("mainstay", own)
}

/// The provider of spans, when an endpoint is configured. Its exporter has a
/// thread of its own and a bounded queue; a collector that is away costs spans,
/// never requests.
fn tracer(settings: &Telemetry) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok(None);
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(Duration::from_secs(5))
        .build()?;
    let ratio = TraceSampler::TraceIdRatioBased(settings.trace_ratio);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(TraceSampler::ParentBased(Box::new(ratio)))
        .with_resource(
            Resource::builder()
                .with_service_name(settings.service_name.clone())
                .build(),
        )
        .build();
    global::set_tracer_provider(provider.clone());
    Ok(Some(provider))
}
