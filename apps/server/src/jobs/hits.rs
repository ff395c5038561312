//! Writes the records of cache hits in batches, beside the requests.

use crate::lifecycle::Spawner;
use mainstay_orchestrator::Orchestrator;

/// Records until the drain, then what is left; a stop waits for that.
pub(crate) fn spawn(spawner: &Spawner, orchestrator: &Orchestrator) {
    let orchestrator = orchestrator.clone();
    let soft = spawner.lifecycle().soft().clone();
    spawner.spawn(async move { orchestrator.record_hits(soft).await });
}
