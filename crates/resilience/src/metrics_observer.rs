//! Events as numbers.

use metrics::{counter, gauge};

use crate::{Event, Observer, State};

/// Feeds the `metrics` facade. Every metric carries the label `policy`.
///
/// | metric | kind | further labels |
/// | --- | --- | --- |
/// | `resilience_state_changes_total` | counter | `from`, `to` |
/// | `resilience_state` | gauge: 0 admits, 0.5 probes or recovers, 1 refuses | |
/// | `resilience_rejections_total` | counter | `kind` |
/// | `resilience_stale_results_total` | counter | |
/// | `resilience_would_open_total` | counter | |
/// | `resilience_retries_total` | counter | |
/// | `resilience_budget_exhausted_total` | counter | |
/// | `resilience_timeouts_total` | counter | |
/// | `resilience_hedges_total` | counter | |
/// | `resilience_fallbacks_total` | counter | `step`; `none` when none answered |
/// | `resilience_concurrency_limit` | gauge | |
#[derive(Debug, Clone, Copy, Default)]
pub struct MetricsObserver;

impl Observer for MetricsObserver {
    fn on_event(&self, event: &Event<'_>) {
        let policy = event.by().to_owned();
        match *event {
            Event::StateChange { from, to, .. } => {
                let (from, into) = (from.as_str(), to.as_str());
                counter!("resilience_state_changes_total",
                    "policy" => policy.clone(), "from" => from, "to" => into)
                .increment(1);
                gauge!("resilience_state", "policy" => policy).set(refusing(to));
            }
            Event::Rejected { kind, .. } => {
                counter!("resilience_rejections_total",
                    "policy" => policy, "kind" => kind.as_str())
                .increment(1);
            }
            Event::Fallback { step, .. } => {
                let step = step.unwrap_or("none").to_owned();
                counter!("resilience_fallbacks_total", "policy" => policy, "step" => step)
                    .increment(1);
            }
            Event::LimitChanged { limit, .. } => {
                gauge!("resilience_concurrency_limit", "policy" => policy).set(limit);
            }
            Event::StaleResult { .. } => {
                counter!("resilience_stale_results_total", "policy" => policy).increment(1);
            }
            Event::WouldOpen { .. } => {
                counter!("resilience_would_open_total", "policy" => policy).increment(1);
            }
            Event::Retry { .. } => {
                counter!("resilience_retries_total", "policy" => policy).increment(1);
            }
            Event::BudgetExhausted { .. } => {
                counter!("resilience_budget_exhausted_total", "policy" => policy).increment(1);
            }
            Event::Timeout { .. } => {
                counter!("resilience_timeouts_total", "policy" => policy).increment(1);
            }
            Event::Hedged { .. } => {
                counter!("resilience_hedges_total", "policy" => policy).increment(1);
            }
        }
    }
}

/// How much of a breaker's calls are refused, in three steps.
fn refusing(state: State) -> f64 {
    match state {
        State::Open | State::ForcedOpen => 1.0,
        State::HalfOpen | State::Recovering => 0.5,
        State::Closed | State::ForcedClosed | State::Disabled | State::MetricsOnly => 0.0,
    }
}
