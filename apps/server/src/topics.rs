//! Topics: who may listen to which, and what listeners are told.

use crate::{
    exchange::Exchange,
    jobs::events::hub_topic,
    problem::{Code, Problem},
};
use jiff::Timestamp;
use mainstay_domain::Principal;
use mainstay_identity::{Permission, permits};
use mainstay_persistence::Call;
use mainstay_realtime::Delivery;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

/// The hub's name of `topic`, when this principal may listen to it. Somebody
/// else's conversation or agent is as absent as one that never was.
pub(crate) async fn allowed(
    exchange: &Exchange,
    call: &Call,
    topic: &str,
) -> Result<String, Problem> {
    let principal = call.principal();
    let services = &exchange.services;
    let unknown = || Problem::not_found("topic");
    match topic.split_once('.') {
        Some(("conversation", id)) => {
            let id = id.parse().map_err(|_| unknown())?;
            services.conversations.find(call, id).await?;
        }
        Some(("agent", id)) => {
            let id = id.parse().map_err(|_| unknown())?;
            services.agents.find(call, id).await?;
        }
        None => demand(principal, permission(topic)?)?,
        Some(_) => return Err(unknown()),
    }
    Ok(hub_topic(principal.workspace_id, topic))
}

/// Topics of the whole workspace are for those who run it.
fn permission(topic: &str) -> Result<Permission, Problem> {
    match topic {
        "agent_status" | "system_alerts" => Ok(Permission::Listen),
        "governance_notifications" => Ok(Permission::ReadGovernance),
        "cache_events" => Ok(Permission::ManageCache),
        "user_activity" => Ok(Permission::ManageMembers),
        _ => Err(Problem::not_found("topic")),
    }
}

/// Refuses a principal without `permission`.
pub(crate) fn demand(principal: &Principal, permission: Permission) -> Result<(), Problem> {
    if permits(principal.role, permission) {
        Ok(())
    } else {
        Err(Problem::new(
            Code::Forbidden,
            format!("this needs the permission {}", permission.as_str()),
        ))
    }
}

/// What a listener is told, the same on every transport.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EventBody {
    /// What kind of event it is; `gap` when events are gone for good.
    r#type: String,
    /// When it was sent.
    timestamp: String,
    /// What happened; of a gap the first and last number that is missing.
    data: Value,
    /// The topic.
    topic: String,
    /// The life of the topic that `seq` counts in.
    epoch: String,
    /// The event's number in its topic.
    seq: u64,
}

impl EventBody {
    pub(crate) fn new(delivery: &Delivery, now: Timestamp) -> Self {
        let timestamp = now.to_string();
        match delivery {
            Delivery::Event(event) => Self {
                r#type: event.kind.to_string(),
                timestamp,
                data: serde_json::from_slice(&event.data).unwrap_or_default(),
                topic: public(&event.topic).to_owned(),
                epoch: event.position.epoch.to_string(),
                seq: event.position.seq,
            },
            Delivery::Lagged {
                topic,
                epoch,
                from,
                to,
                ..
            } => Self {
                r#type: "gap".to_owned(),
                timestamp,
                data: json!({"from": from, "to": to}),
                topic: public(topic).to_owned(),
                epoch: epoch.to_string(),
                seq: *to,
            },
        }
    }
}

/// The client's name of a hub topic: without the workspace.
pub(crate) fn public(hub_topic: &str) -> &str {
    hub_topic
        .split_once('/')
        .map_or(hub_topic, |(_, topic)| topic)
}
