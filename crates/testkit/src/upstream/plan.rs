//! From an answer and a fault to the bytes on the wire, and when.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use serde_json::Value;

use super::fault::{Cut, Fault};
use super::script::{Orders, Pace, Watch};

/// Long enough for what was sent before to leave, before the connection breaks.
const BEFORE_BREAKING: Duration = Duration::from_millis(30);

const GARBAGE: &[u8] = b"\x00\x01{\"type\": <<<this is not what you asked for>>>\n\ndata: {]\n\n";

const PAGE: &str =
    "<!doctype html><title>Sign in</title><p>Please accept the terms of this network.</p>";

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// One event of a stream.
#[derive(Debug, Clone)]
pub(super) struct Event {
    frame: String,
    is_text: bool,
    is_end: bool,
}

impl Event {
    pub(super) fn new(frame: String) -> Self {
        Self {
            frame,
            is_text: false,
            is_end: false,
        }
    }

    /// It carries part of the answer.
    pub(super) fn text(self) -> Self {
        Self {
            is_text: true,
            ..self
        }
    }

    /// It is the dialect's end mark.
    pub(super) fn end(self) -> Self {
        Self {
            is_end: true,
            ..self
        }
    }
}

/// What an answer consists of.
#[derive(Debug)]
pub(super) enum Payload {
    Whole(Vec<u8>),
    Events(Vec<Event>),
}

/// An answer before anything goes wrong with it.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    payload: Payload,
}

impl Reply {
    pub(super) fn whole(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            payload: Payload::Whole(body.to_string().into_bytes()),
        }
    }

    pub(super) fn events(events: Vec<Event>) -> Self {
        Self {
            status: 200,
            headers: vec![
                (
                    "content-type",
                    "text/event-stream; charset=utf-8".to_owned(),
                ),
                ("cache-control", "no-cache".to_owned()),
            ],
            payload: Payload::Events(events),
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The answer as its orders want it. `error_event` makes the event by which
    /// a stream of this dialect says that it failed.
    pub(super) fn carry_out(
        mut self,
        orders: Orders,
        error_event: impl Fn(&str) -> Event,
    ) -> Response<Body> {
        let Orders {
            fault, pace, watch, ..
        } = orders;
        if let Fault::Html = fault {
            self.headers = vec![("content-type", "text/html".to_owned())];
            self.payload = Payload::Whole(PAGE.as_bytes().to_vec());
        }
        let steps = match self.payload {
            Payload::Whole(body) => whole_steps(body, &fault),
            Payload::Events(events) => event_steps(events, &fault, pace, error_event),
        };
        respond(self.status, &self.headers, steps, Some(watch))
    }

    /// The answer as it is, for what is not scripted.
    pub(super) fn plain(self) -> Response<Body> {
        let steps = match self.payload {
            Payload::Whole(body) => vec![Step::Send(body)],
            Payload::Events(_) => Vec::new(),
        };
        respond(self.status, &self.headers, steps, None)
    }
}

fn respond(
    status: u16,
    headers: &[(&'static str, String)],
    steps: Vec<Step>,
    watch: Option<Watch>,
) -> Response<Body> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.body(body(steps, watch)).unwrap_or_else(|_| {
        // A scripted Retry-After that cannot be a header.
        let mut response = Response::new(body(Vec::new(), None));
        *response.status_mut() = hyper::StatusCode::NOT_IMPLEMENTED;
        response
    })
}

/// One thing that the body does.
#[derive(Debug)]
enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    Hang,
    Break,
}

fn whole_steps(body: Vec<u8>, fault: &Fault) -> Vec<Step> {
    match fault {
        Fault::Garbage => vec![Step::Send(GARBAGE.to_vec())],
        Fault::Hang {
            after_bytes: Some(bytes),
        } => hang_after(vec![body], *bytes),
        Fault::Truncate { how, .. } => {
            let half = body[..body.len() / 2].to_vec();
            ended(vec![Step::Send(half)], *how)
        }
        Fault::Split { bytes } => split(&body, *bytes),
        Fault::Drip { millis } => {
            vec![Step::Wait(Duration::from_millis(*millis)), Step::Send(body)]
        }
        _ => vec![Step::Send(body)],
    }
}

fn event_steps(
    mut events: Vec<Event>,
    fault: &Fault,
    pace: Pace,
    error_event: impl Fn(&str) -> Event,
) -> Vec<Step> {
    match fault {
        Fault::Garbage => return vec![Step::Send(GARBAGE.to_vec())],
        Fault::Hang {
            after_bytes: Some(bytes),
        } => {
            return hang_after(
                events
                    .into_iter()
                    .map(|event| event.frame.into_bytes())
                    .collect(),
                *bytes,
            );
        }
        Fault::Split { bytes } => {
            let all: String = events.into_iter().map(|event| event.frame).collect();
            return split(all.as_bytes(), *bytes);
        }
        Fault::Truncate { after_events, how } => {
            events.truncate(*after_events);
            return ended(paced(events, pace.event()), *how);
        }
        Fault::MissingEnd => events.retain(|event| !event.is_end),
        Fault::ErrorEvent { after_events, kind } => {
            events.truncate(*after_events);
            events.push(error_event(kind));
        }
        Fault::DuplicateEvents => {
            events = events
                .into_iter()
                .flat_map(|event| {
                    let again = (!event.is_text).then(|| event.clone());
                    again.into_iter().chain([event])
                })
                .collect();
        }
        _ => {}
    }
    match fault {
        Fault::Drip { millis } => paced(events, Duration::from_millis(*millis)),
        _ => paced(events, pace.event()),
    }
}

fn paced(events: Vec<Event>, wait: Duration) -> Vec<Step> {
    events
        .into_iter()
        .flat_map(|event| {
            let wait = (!wait.is_zero()).then_some(Step::Wait(wait));
            wait.into_iter()
                .chain([Step::Send(event.frame.into_bytes())])
        })
        .collect()
}

fn ended(mut steps: Vec<Step>, how: Cut) -> Vec<Step> {
    if how == Cut::Abrupt {
        steps.extend([Step::Wait(BEFORE_BREAKING), Step::Break]);
    }
    steps
}

fn split(bytes: &[u8], size: usize) -> Vec<Step> {
    bytes
        .chunks(size)
        .map(|piece| Step::Send(piece.to_vec()))
        .collect()
}

fn hang_after(pieces: Vec<Vec<u8>>, bytes: usize) -> Vec<Step> {
    let mut head = pieces.concat();
    head.truncate(bytes);
    vec![Step::Send(head), Step::Hang]
}

struct Progress {
    steps: std::vec::IntoIter<Step>,
    watch: Option<Watch>,
}

/// A body that carries the steps out. Each piece sent is a chunk of its own.
fn body(steps: Vec<Step>, watch: Option<Watch>) -> Body {
    let progress = Progress {
        steps: steps.into_iter(),
        watch,
    };
    let frames = stream::unfold(progress, |mut progress| async move {
        loop {
            match progress.steps.next() {
                Some(Step::Send(bytes)) if bytes.is_empty() => {}
                Some(Step::Send(bytes)) => {
                    return Some((Ok(Frame::data(Bytes::from(bytes))), progress));
                }
                Some(Step::Wait(wait)) => tokio::time::sleep(wait).await,
                Some(Step::Hang) => std::future::pending().await,
                Some(Step::Break) => {
                    progress.done();
                    return Some((Err(io::Error::other("scripted")), progress));
                }
                None => {
                    progress.done();
                    return None;
                }
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Progress {
    fn done(&mut self) {
        if let Some(mut watch) = self.watch.take() {
            watch.answered();
        }
    }
}
