//! `[telemetry]`: logs, traces and metrics.

use super::Findings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The least important level that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Everything, one line per request included.
    Debug,
    /// What happened.
    #[default]
    Info,
    /// What may become a problem.
    Warning,
    /// What failed.
    Error,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object per line, for collectors.
    #[default]
    Json,
    /// Plain text, for people at a terminal.
    Text,
}

/// Logs, traces and metrics.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// The least important level that is written. Default `info`.
    pub log_level: LogLevel,
    /// How a line looks. Default `json`.
    pub log_format: LogFormat,
    /// Where spans go, an OTLP/HTTP base URL such as `http://collector:4318`.
    /// Default: nowhere.
    pub otlp_endpoint: Option<String>,
    /// The share of new traces that is recorded, 0 to 1; a caller's own
    /// decision in `traceparent` is followed. Default 1.
    pub trace_ratio: f64,
    /// The `service.name` of spans. Default `mainstay`.
    pub service_name: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_level: LogLevel::default(),
            log_format: LogFormat::default(),
            otlp_endpoint: None,
            trace_ratio: 1.0,
            service_name: "mainstay".to_owned(),
        }
    }
}

impl Telemetry {
    pub(super) fn validate(&self, findings: &mut Findings) {
        findings.check(
            self.otlp_endpoint
                .as_deref()
                .is_none_or(|url| url.starts_with("http://") || url.starts_with("https://")),
            "otlp_endpoint",
            "must be a URL such as http://collector:4318",
        );
        findings.check(
            (0.0..=1.0).contains(&self.trace_ratio),
            "trace_ratio",
            "must be from 0 to 1",
        );
        findings.check(
            !self.service_name.is_empty(),
            "service_name",
            "must not be empty",
        );
    }
}
