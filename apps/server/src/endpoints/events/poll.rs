//! GET `/api/v1/events/poll`.

use super::{EventsQuery, Following, TopicBody, cursor::Cursor};
use crate::{
    exchange::Exchange,
    extract::ApiQuery,
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
    topics::EventBody,
};
use actix_web::http::Method;
use mainstay_identity::Permission;
use mainstay_persistence::Call;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// Where it is.
pub(crate) const PATH: &str = "/api/v1/events/poll";
/// How often somebody may ask who could not be given a socket.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// How long a request waits for an event.
const HOLD: Duration = Duration::from_secs(25);
/// What is left of a request's time for its answer.
const ANSWERING: Duration = Duration::from_secs(1);
/// The most events of one answer.
const MOST: usize = 100;

/// Events, and from where to ask for the next.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PollBody {
    events: Vec<EventBody>,
    /// What `after` has to be the next time.
    cursor: String,
    /// Where each topic was followed from.
    topics: Vec<TopicBody>,
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        PATH,
        "realtime.poll",
        Access::Requires(Permission::Listen),
        poll,
    )
    .summary("Live events by polling")
    .description(
        "Without `after` it answers at once with a cursor from now on. With one it waits up to 25 \
         seconds for an event, unless very many wait already; an answer without events is no \
         error. At most 100 events each time.",
    )
}

async fn poll(
    exchange: Exchange,
    call: Call,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<Json<PollBody>, Problem> {
    let after: Option<Cursor> = query
        .after
        .map(|text| text.parse())
        .transpose()
        .map_err(|error| Problem::field("/after", format!("{error}")))?;
    let mut following = Following::open(&exchange, &call, &query.topics, after.as_ref()).await?;
    let services = &exchange.services;
    let mut events = Vec::new();
    let whole = following.topics.iter().all(|topic| topic.recovered);
    if after.is_some() && whole {
        let left = call.deadline.remaining(&*services.clock);
        let patience = HOLD.min(left.saturating_sub(ANSWERING));
        let first = match services.polls.try_acquire() {
            Err(_) => following.listener.try_next(),
            Ok(_place) => tokio::select! {
                biased;
                delivery = following.listener.next() => delivery,
                () = services.spawner.lifecycle().soft().cancelled() => None,
                () = tokio::time::sleep(patience) => None,
            },
        };
        events.extend(first.map(|delivery| following.take(&delivery, services.now())));
    }
    while events.len() < MOST
        && let Some(delivery) = following.listener.try_next()
    {
        events.push(following.take(&delivery, services.now()));
    }
    Ok(Json(PollBody {
        events,
        cursor: following.cursor.to_string(),
        topics: following.topics,
    }))
}
