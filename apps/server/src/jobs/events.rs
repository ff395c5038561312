//! Carries events from the outbox to whoever listens.

use super::Started;
use crate::lifecycle::Spawner;
use mainstay_domain::WorkspaceId;
use mainstay_persistence::Outbox;
use mainstay_realtime::Hub;

/// The hub's name of a workspace's topic, which no other workspace can spell.
pub(crate) fn hub_topic(workspace: WorkspaceId, topic: &str) -> String {
    format!("{workspace}/{topic}")
}

/// Publishes whatever committed changes leave behind.
pub(crate) fn spawn(spawner: &Spawner, started: &Started, outbox: Outbox, hub: &Hub) {
    let (started, hub) = (started.clone(), hub.clone());
    spawner.spawn_until_drain(async move {
        started.database().await;
        outbox
            .run(|event| {
                let topic = hub_topic(event.workspace_id, &event.topic);
                hub.publish(&topic, &event.kind, event.payload.to_string());
                std::future::ready(true)
            })
            .await;
    });
}
