//! The metrics of the server, in one registry.
//!
//! Counters and histograms are written where things happen; gauges are read
//! from their owners by [`Sampler`]s when a scrape asks. **To add a metric**,
//! add it here with its help text; `docs/METRICS.md` is generated from it.

use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::{fmt, sync::RwLock};

/// Reads an owner's present numbers into gauges; called at every scrape.
pub type Sampler = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Every metric of the server. Built once per process, in `startup`.
pub struct Metrics {
    registry: Registry,
    samplers: RwLock<Vec<Sampler>>,
    /// Seconds from a request's arrival to its answer's first byte.
    pub request_duration: HistogramVec,
    /// The share of reads that some cache tier answered, over the recent window.
    pub cache_hit_rate: Gauge,
    /// Open WebSocket connections.
    pub websocket_connections: IntGauge,
    /// Database connections by state.
    pub database_pool_size: IntGaugeVec,
    /// Tokens that providers counted.
    pub ai_token_usage: IntCounterVec,
    /// Answers that were problems, by code.
    pub errors: IntCounterVec,
    resident_memory: IntGauge,
    open_descriptors: IntGauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// A fresh registry with every metric in it.
    ///
    /// # Errors
    /// When two metrics share a name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            samplers: RwLock::new(Vec::new()),
            request_duration: HistogramVec::new(
                HistogramOpts::new(
                    "api_request_duration_seconds",
                    "Seconds from a request's arrival to the head of its answer.",
                )
                .buckets(vec![
                    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0,
                    10.0, 30.0, 60.0,
                ]),
                &["method", "route", "status"],
            )?,
            cache_hit_rate: Gauge::new(
                "cache_hit_rate",
                "Share of reads that some cache tier answered, 0 to 1, over the recent window.",
            )?,
            websocket_connections: IntGauge::new(
                "websocket_connections",
                "Open WebSocket connections.",
            )?,
            database_pool_size: IntGaugeVec::new(
                Opts::new(
                    "database_pool_size",
                    "Database connections by state: idle, in_use, max; waiting counts callers.",
                ),
                &["state"],
            )?,
            ai_token_usage: IntCounterVec::new(
                Opts::new(
                    "ai_token_usage_total",
                    "Tokens that providers counted, by model and kind: input, output, cached.",
                ),
                &["model", "kind"],
            )?,
            errors: IntCounterVec::new(
                Opts::new(
                    "errors_total",
                    "Answers that were problems, by code; the error rate is its rate over that of api_request_duration_seconds_count.",
                ),
                &["code"],
            )?,
            resident_memory: IntGauge::new(
                "process_resident_memory_bytes",
                "Resident memory of the process in bytes.",
            )?,
            open_descriptors: IntGauge::new(
                "process_open_fds",
                "Open file descriptors of the process.",
            )?,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.request_duration.clone()))?;
        registry.register(Box::new(metrics.cache_hit_rate.clone()))?;
        registry.register(Box::new(metrics.websocket_connections.clone()))?;
        registry.register(Box::new(metrics.database_pool_size.clone()))?;
        registry.register(Box::new(metrics.ai_token_usage.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.resident_memory.clone()))?;
        registry.register(Box::new(metrics.open_descriptors.clone()))?;
        Ok(metrics)
    }

    /// Adds a reader of an owner's present numbers.
    pub fn sample(&self, sampler: Sampler) {
        self.samplers
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(sampler);
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let samplers = self
            .samplers
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for sampler in samplers.iter() {
            sampler(self);
        }
        let (resident, descriptors) = super::process::usage();
        let whole = |value: Option<u64>| i64::try_from(value.unwrap_or(0)).unwrap_or(i64::MAX);
        self.resident_memory.set(whole(resident));
        self.open_descriptors.set(whole(descriptors));
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

/// The page about the metrics, in Markdown, from their own help texts.
///
/// # Errors
/// When two metrics share a name.
pub fn describe() -> Result<String, prometheus::Error> {
    use std::fmt::Write as _;
    let metrics = Metrics::new()?;
    // A family without samples is not gathered; one sample each makes them all appear.
    metrics.request_duration.with_label_values(&["", "", ""]);
    metrics.database_pool_size.with_label_values(&[""]);
    metrics.ai_token_usage.with_label_values(&["", ""]);
    metrics.errors.with_label_values(&[""]);
    let mut page = String::from(
        "# Metrics\n\nGenerated from the code; `/metrics` serves them in Prometheus' text format.\n\n\
         | metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for family in metrics.registry.gather() {
        let labels: Vec<&str> = family
            .get_metric()
            .first()
            .map(|metric| {
                metric
                    .get_label()
                    .iter()
                    .map(prometheus::proto::LabelPair::name)
                    .collect()
            })
            .unwrap_or_default();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            family.name(),
            format!("{:?}", family.get_field_type()).to_lowercase(),
            labels.join(", "),
            family.help(),
        );
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_are_asked_at_every_scrape() {
        let metrics = Metrics::new().unwrap();
        metrics.sample(Box::new(|m| {
            m.websocket_connections.inc();
        }));
        let _ = metrics.render();
        assert!(metrics.render().contains("websocket_connections 2"));
    }

    #[test]
    fn the_page_lists_the_six_and_the_process() {
        let page = describe().unwrap();
        for name in [
            "api_request_duration_seconds",
            "cache_hit_rate",
            "websocket_connections",
            "database_pool_size",
            "ai_token_usage_total",
            "errors_total",
            "process_resident_memory_bytes",
            "process_open_fds",
        ] {
            assert!(page.contains(name), "{name} is missing");
        }
    }
}
