//! Which topics a principal may listen to.

use crate::{
    exchange::Exchange,
    jobs::events::hub_topic,
    problem::{Code, Problem},
};
use mainstay_domain::Principal;
use mainstay_identity::{Permission, permits};
use mainstay_persistence::Call;

/// The hub's name of `topic`, when this principal may listen to it. Somebody
/// else's conversation or agent is as absent as one that never was.
pub(super) async fn allowed(
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
        None => demand(principal, topic)?,
        Some(_) => return Err(unknown()),
    }
    Ok(hub_topic(principal.workspace_id, topic))
}

/// Topics of the whole workspace are for those who run it.
fn demand(principal: &Principal, topic: &str) -> Result<(), Problem> {
    let permission = match topic {
        "agent_status" | "system_alerts" => Permission::Listen,
        "governance_notifications" => Permission::ReadGovernance,
        "cache_events" => Permission::ManageCache,
        "user_activity" => Permission::ManageMembers,
        _ => return Err(Problem::not_found("topic")),
    };
    if permits(principal.role, permission) {
        Ok(())
    } else {
        Err(Problem::new(
            Code::Forbidden,
            format!("this topic needs the permission {}", permission.as_str()),
        ))
    }
}
