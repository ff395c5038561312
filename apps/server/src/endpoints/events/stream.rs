//! GET `/api/v1/events`.

use super::{EventsQuery, Following};
use crate::{
    exchange::Exchange,
    extract::ApiQuery,
    operation::{Access, Operation},
    problem::{Code, Problem},
    sse,
};
use actix_web::{
    HttpResponse,
    http::{Method, StatusCode},
};
use futures_util::{StreamExt as _, future, stream};
use mainstay_domain::UserId;
use mainstay_identity::Permission;
use mainstay_persistence::Call;
use mainstay_realtime::{Delivery, Reason, Refused, Slot};
use serde_json::json;
use std::{net::IpAddr, time::Duration};

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/events",
        "realtime.events",
        Access::Requires(Permission::Listen),
        events,
    )
    .summary("Live events as server-sent events")
    .description(
        "First `subscribed` with where each topic is followed from, then `event` and `gap`. Every \
         id is a cursor over all topics: come back with it as `Last-Event-ID` or `after`. The \
         stream counts as one of the caller's live connections, and ends when the access token \
         does.",
    )
    .answers_text(StatusCode::OK, "text/event-stream")
}

async fn events(
    exchange: Exchange,
    call: Call,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<HttpResponse, Problem> {
    let after = exchange
        .header("last-event-id")
        .map(|id| id.trim().to_owned())
        .or(query.after);
    let after = after
        .map(|text| text.parse())
        .transpose()
        .map_err(|error| {
            Problem::new(Code::BadRequest, format!("Last-Event-ID and after {error}"))
        })?;
    let slot = admit(&exchange, call.principal().user_id)?;
    let life = life(&exchange)?;
    let following = Following::open(&exchange, &call, &query.topics, after.as_ref()).await?;
    let first = sse::Event::json(
        Some(following.cursor.to_string()),
        "subscribed",
        &json!({"topics": following.topics}),
    );
    let services = exchange.services.clone();
    let soft = services.spawner.lifecycle().soft().clone();
    let later = stream::unfold((following, slot), move |(mut following, slot)| {
        let services = services.clone();
        async move {
            let delivery = following.listener.next().await?;
            let name = match delivery {
                Delivery::Event(_) => "event",
                Delivery::Lagged { .. } => "gap",
            };
            let body = following.take(&delivery, services.now());
            let event = sse::Event::json(Some(following.cursor.to_string()), name, &body);
            Some((event, (following, slot)))
        }
    });
    let end = Box::pin(async move {
        let _ = tokio::time::timeout(life, soft.cancelled()).await;
    });
    let steps = stream::once(future::ready(first)).chain(later);
    Ok(sse::respond(&exchange.http, steps.take_until(end)))
}

/// A place among the live connections, of which sockets are the others.
fn admit(exchange: &Exchange, user: UserId) -> Result<Slot<IpAddr, UserId>, Problem> {
    let refused = |refused: Refused| {
        let code = match refused.reason {
            Reason::Capacity | Reason::Paused => Code::Overloaded,
            Reason::PerPrincipal | Reason::Rate => Code::RateLimited,
        };
        Problem::new(code, refused.to_string()).retry_after(refused.retry_after)
    };
    let admission = &exchange.services.admission;
    let mut slot = admission.admit(exchange.known.address).map_err(refused)?;
    slot.identify(user).map_err(refused)?;
    Ok(slot)
}

/// How long the caller's token is good for.
fn life(exchange: &Exchange) -> Result<Duration, Problem> {
    let services = &exchange.services;
    let token = exchange
        .header("authorization")
        .and_then(|value| value.split_once(' '))
        .map_or("", |(_, token)| token.trim_start());
    let verified = services.authenticate(token)?;
    let left = verified.expires_at.duration_since(services.now());
    Ok(Duration::try_from(left).unwrap_or_default())
}
