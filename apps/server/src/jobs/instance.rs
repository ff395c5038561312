//! Says that this server lives, and ends what dead ones left unfinished.

use super::{Started, deadline};
use crate::lifecycle::Spawner;
use mainstay_persistence::Instances;
use mainstay_resilience::SharedClock;
use std::time::Duration;
use uuid::Uuid;

const PERIOD: Duration = Duration::from_secs(5);
/// Silence after which a server counts as dead: several missed beats, so that
/// a pause is not taken for a death.
const SILENCE: Duration = Duration::from_secs(30);

/// Beats until the drain, then signs off.
pub(crate) fn spawn(
    spawner: &Spawner,
    started: &Started,
    instances: Instances,
    instance: Uuid,
    clock: &SharedClock,
) {
    let (started, clock) = (started.clone(), clock.clone());
    let soft = spawner.lifecycle().soft().clone();
    spawner.spawn(async move {
        let beating = async {
            started.database().await;
            loop {
                if let Err(error) = instances.beat(instance, deadline(&*clock)).await {
                    tracing::debug!(component = "instance", %error, "a heartbeat was not heard");
                } else {
                    match instances.interrupt_orphans(SILENCE, deadline(&*clock)).await {
                        Ok(0) => {}
                        Ok(count) => tracing::warn!(count, "ended what a dead server left unfinished"),
                        Err(error) => tracing::debug!(component = "instance", %error, "orphans were not looked for"),
                    }
                }
                tokio::time::sleep(PERIOD).await;
            }
        };
        if soft.run_until_cancelled(beating).await.is_none() {
            // Silence says the same a little later.
            let _ = instances.leave(instance, deadline(&*clock)).await;
        }
    });
}
