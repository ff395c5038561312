//! WebSocket `/ws`, protocol `mainstay.v1`.
//!
//! A connection is two tasks on the worker that accepted it: one reads, one
//! writes. Between the application and the writer stands a queue that is
//! bounded in bytes, so that a peer that does not read is noticed and cut,
//! instead of filling memory; what it missed it fetches by position when it
//! comes back.

mod ask;
mod close;
mod frames;
mod guard;
mod session;
mod writer;

use crate::{
    connections::Connection,
    exchange::Exchange,
    operation::{Access, Operation},
    problem::{Code, Problem},
    readiness::Overall,
};
use actix_web::{
    FromRequest as _, HttpResponse,
    dev::Payload,
    error::PayloadError,
    http::{Method, StatusCode},
    web,
};
use bytes::Bytes;
use close::Close;
use frames::ToClient;
use futures_util::Stream;
use guard::Guarded;
use mainstay_realtime::{QueueConfig, Reason};
use std::pin::Pin;

const PROTOCOL: &str = "mainstay.v1";

/// `GET /ws`.
pub(crate) fn operation() -> Operation {
    Operation::new(Method::GET, "/ws", "realtime.ws", Access::Public, connect)
        .summary("Live events and streamed answers over WebSocket")
        .description(
            "Subprotocol `mainstay.v1`. Authenticate with the first frame \
             `{\"type\":\"auth\",\"token\":\"…\"}` within 5 s, or with the `Authorization` header; \
             `docs/REALTIME.md` has every frame and close code.",
        )
        .answers_text(StatusCode::SWITCHING_PROTOCOLS, "application/json")
}

async fn connect(exchange: Exchange, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let http = exchange.http.clone();
    let limit = exchange.services.settings.realtime.max_frame_bytes;
    let (guarded, oversized) = Guarded::new(payload.into_inner(), limit);
    let guarded: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(guarded);
    let guarded = web::Payload::from_request(&http, &mut Payload::from(guarded))
        .await
        .map_err(|_| Problem::unexplained())?;
    let (response, session, messages) =
        actix_ws::handle_with_protocols(&http, guarded, &[PROTOCOL]).map_err(|error| {
            Problem::new(
                Code::BadRequest,
                format!("this is no WebSocket handshake: {error}"),
            )
        })?;
    let frame_limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let messages = messages
        .max_frame_size(frame_limit)
        .aggregate_continuations()
        .max_continuation_size(frame_limit);
    let (outbox, queue) = mainstay_realtime::queue(QueueConfig::default());
    let connection = Connection::of(&http);
    let (ended, ending) = tokio::sync::oneshot::channel();
    // Both tasks hold what must stay on this worker: the socket's two halves.
    let clock = exchange.services.clone();
    let now = move || clock.now();
    actix_web::rt::spawn(writer::write(session, queue, connection, ending, now));
    let exchange = exchange.clone();
    actix_web::rt::spawn(async move {
        let services = exchange.services.clone();
        let metrics = services.metrics.clone();
        metrics.websocket_connections.inc();
        let close = match services.admission.admit(exchange.known.address) {
            _ if services.readiness.report().status == Overall::Stopping => {
                Close::restarting(services.admission.reconnect_delay())
            }
            Err(refused) => {
                if matches!(refused.reason, Reason::Capacity | Reason::Paused) {
                    // Full, so that it must not wait; the Close says the rest.
                    let _ = outbox.data(ToClient::degraded(&services.now().to_string()));
                }
                Close::refused(&refused)
            }
            Ok(slot) => {
                session::Session::new(exchange, slot, outbox.clone(), oversized)
                    .run(messages)
                    .await
            }
        };
        metrics.websocket_connections.dec();
        // The writer may be gone already, and then there is nobody to tell.
        let _ = ended.send(close);
        outbox.close();
    });
    Ok(response)
}
