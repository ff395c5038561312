//! Server-sent events: numbered events, comments as heartbeats, and an end
//! that is seen when the client leaves.

use crate::connections::{Busy, Connection};
use actix_web::{HttpRequest, HttpResponse, http::header};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Interval, MissedTickBehavior, interval_at};

/// Proxies cut silent connections after 60 to 100 seconds.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Where a client that lost the connection goes on, by `Last-Event-ID`.
    pub id: Option<String>,
    /// Its kind, such as `delta`.
    pub name: &'static str,
    /// One line of JSON.
    pub data: String,
}

impl Event {
    /// An event whose data is JSON. A value that cannot be written, which no
    /// type of ours is, becomes an empty object.
    pub(crate) fn json(id: Option<String>, name: &'static str, data: &impl Serialize) -> Self {
        Self {
            id,
            name,
            data: serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned()),
        }
    }

    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.data.len() + 64);
        if let Some(id) = &self.id {
            out.put_slice(b"id: ");
            out.put_slice(id.as_bytes());
            out.put_u8(b'\n');
        }
        out.put_slice(b"event: ");
        out.put_slice(self.name.as_bytes());
        // JSON as we write it has no line breaks, but correctness should not
        // depend on that.
        for line in self.data.split('\n') {
            out.put_slice(b"\ndata: ");
            out.put_slice(line.as_bytes());
        }
        out.put_slice(b"\n\n");
        out.freeze()
    }
}

/// Answers with a stream of events. The stream is dropped as soon as the
/// client has left, and whatever it holds is dropped with it.
pub(crate) fn respond<S>(http: &HttpRequest, events: S) -> HttpResponse
where
    S: Stream<Item = Event> + 'static,
{
    let body = Body {
        events: Box::pin(events),
        heartbeat: heartbeat(),
        _busy: Connection::of(http).map(|connection| connection.busy()),
    };
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx would collect the answer otherwise.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body.map(Ok::<_, Infallible>))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a timer of the runtime needs the runtime's own instant"
)]
fn heartbeat() -> Interval {
    let mut interval = interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

struct Body<S> {
    events: Pin<Box<S>>,
    heartbeat: Interval,
    /// Keeps a drain from closing the connection under the stream.
    _busy: Option<Busy>,
}

impl<S: Stream<Item = Event>> Stream for Body<S> {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        match this.events.as_mut().poll_next(cx) {
            Poll::Ready(event) => {
                this.heartbeat.reset();
                Poll::Ready(event.map(|event| event.encode()))
            }
            Poll::Pending => this
                .heartbeat
                .poll_tick(cx)
                .map(|_| Some(Bytes::from_static(b": still here\n\n"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_written_as_the_standard_says() {
        let event = Event {
            id: Some("r-7".to_owned()),
            name: "delta",
            data: "{\"text\":\"a\"}\nb".to_owned(),
        };
        assert_eq!(
            event.encode(),
            "id: r-7\nevent: delta\ndata: {\"text\":\"a\"}\ndata: b\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_with_comments() {
        let mut body = Body {
            events: Box::pin(futures_util::stream::pending::<Event>()),
            heartbeat: heartbeat(),
            _busy: None,
        };
        // Paused time jumps to the next timer by itself.
        assert_eq!(body.next().await.unwrap(), ": still here\n\n");
        assert_eq!(body.next().await.unwrap(), ": still here\n\n");
    }
}
