//! Live events for clients without a WebSocket: the same topics over SSE and
//! by polling, with one cursor over all of them.

mod cursor;
pub(crate) mod poll;
pub(crate) mod stream;

use crate::{
    exchange::Exchange,
    problem::Problem,
    topics::{self, EventBody},
};
use cursor::Cursor;
use mainstay_persistence::Call;
use mainstay_realtime::{Delivery, Listener, Position};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most topics of one request, so that a cursor fits into a header.
const MOST_TOPICS: usize = 20;

/// Which events.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// Up to 20 topics, separated by commas, such as `conversation.<id>`.
    #[garde(length(min = 1, max = 2_000))]
    topics: String,
    /// The cursor after which events are wanted; without one, from now on.
    #[garde(length(max = 4_000))]
    after: Option<String>,
}

/// Where a topic is followed from.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TopicBody {
    topic: String,
    epoch: String,
    seq: u64,
    /// False when something was missed for good since the cursor: what is
    /// shown of the topic has to be read anew.
    recovered: bool,
}

/// A reader of several topics, and how far it is.
struct Following {
    listener: Listener,
    cursor: Cursor,
    topics: Vec<TopicBody>,
}

impl Following {
    /// Follows `topics` from `after` on.
    async fn open(
        exchange: &Exchange,
        call: &Call,
        names: &str,
        after: Option<&Cursor>,
    ) -> Result<Self, Problem> {
        let names: std::collections::BTreeSet<&str> = names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        if names.is_empty() || names.len() > MOST_TOPICS {
            return Err(Problem::field(
                "/topics",
                format!("must name 1 to {MOST_TOPICS} topics"),
            ));
        }
        let mut following = Self {
            listener: exchange.services.hub.listener(),
            cursor: Cursor::default(),
            topics: Vec::with_capacity(names.len()),
        };
        for name in names {
            let hub_topic = topics::allowed(exchange, call, name).await?;
            following.add(name, &hub_topic, after.and_then(|after| after.of(name)))?;
        }
        Ok(following)
    }

    fn add(&mut self, name: &str, hub_topic: &str, after: Option<Position>) -> Result<(), Problem> {
        let subscribed = self
            .listener
            .subscribe(hub_topic, after)
            .map_err(|error| Problem::field("/topics", error.to_string()))?;
        let position = Position {
            epoch: subscribed.epoch,
            seq: subscribed.seq,
        };
        self.cursor.advance(name, position);
        self.topics.push(TopicBody {
            topic: name.to_owned(),
            epoch: subscribed.epoch.to_string(),
            seq: subscribed.seq,
            recovered: subscribed.recovered,
        });
        Ok(())
    }

    /// Takes note that `delivery` was handed on, and words it.
    fn take(&mut self, delivery: &Delivery, now: jiff::Timestamp) -> EventBody {
        let (topic, position) = match delivery {
            Delivery::Event(event) => (&*event.topic, event.position),
            Delivery::Lagged {
                topic, epoch, to, ..
            } => (
                &**topic,
                Position {
                    epoch: *epoch,
                    seq: *to,
                },
            ),
        };
        self.cursor.advance(topics::public(topic), position);
        EventBody::new(delivery, now)
    }
}
