//! Events as lines of a log.

use crate::{Event, Observer};

/// Writes every event with `tracing`, under the target `mainstay_resilience`.
///
/// Changes of state, timeouts and exhausted budgets are warnings; refusals,
/// retries, hedges and fallbacks are debug, because under trouble there are as
/// many of them as calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingObserver;

impl Observer for TracingObserver {
    fn on_event(&self, event: &Event<'_>) {
        const TARGET: &str = "mainstay_resilience";
        match *event {
            Event::StateChange { by, from, to } => tracing::warn!(
                target: TARGET, policy = by, from = from.as_str(), to = to.as_str(),
                "circuit breaker {by} changed from {} to {}", from.as_str(), to.as_str()
            ),
            Event::WouldOpen { by } => tracing::warn!(
                target: TARGET, policy = by, "circuit breaker {by} would have opened"
            ),
            Event::Rejected {
                by,
                kind,
                retry_after,
            } => tracing::debug!(
                target: TARGET, policy = by, kind = kind.as_str(), ?retry_after,
                "{by} refused a call"
            ),
            Event::StaleResult { by, outcome } => tracing::debug!(
                target: TARGET, policy = by, ?outcome,
                "{by} ignored the result of a call from before its last change"
            ),
            Event::Retry { by, attempt, delay } => tracing::debug!(
                target: TARGET, policy = by, attempt, ?delay, "{by} tries again"
            ),
            Event::BudgetExhausted { by } => tracing::warn!(
                target: TARGET, policy = by, "{by} has no budget left to try again"
            ),
            Event::Timeout { by, after } => tracing::warn!(
                target: TARGET, policy = by, ?after, "{by} got no answer in time"
            ),
            Event::Hedged { by, delay } => tracing::debug!(
                target: TARGET, policy = by, ?delay, "{by} asks a second time"
            ),
            Event::Fallback { by, step } => tracing::debug!(
                target: TARGET, policy = by, step, "{by} fell back"
            ),
            Event::LimitChanged { by, limit } => tracing::debug!(
                target: TARGET, policy = by, limit, "{by} changed its limit"
            ),
        }
    }
}
