//! `Idempotency-Key`: doing something once, however often it is asked.
//!
//! The key belongs to the caller; the request behind it is its method, path
//! and body. A whole answer is kept and replayed. A refusal is not kept, and
//! neither is a stream, which is resumed by its own id.

use crate::{
    exchange::Exchange,
    extract::read_body,
    operation::Operation,
    problem::{Code, Problem},
};
use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody as _, to_bytes},
    dev::Payload,
    error::PayloadError,
    http::{StatusCode, header},
};
use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::{Stream, stream};
use mainstay_persistence::{Call, Claim, ClaimId, StoredResponse};
use std::{pin::Pin, time::Duration};

/// How long an answer can be replayed.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Runs the operation, at most once per key.
pub(super) async fn run(
    exchange: Exchange,
    mut payload: Payload,
    operation: &Operation,
) -> Result<HttpResponse, Problem> {
    let Some(key) = key(&exchange)? else {
        return operation.call(exchange, payload).await;
    };
    let call = exchange.call()?;
    let body = read_body(&mut payload, exchange.known.body_limit).await?;
    let hash = fingerprint(&exchange, &body);
    let store = exchange.services.idempotency.clone();
    match store.claim(&call, &key, &hash).await? {
        Claim::Claimed(claim) => {
            let lease = Lease::new(&exchange, call, claim);
            let response = operation.call(exchange, replayable(body)).await?;
            lease.keep(response).await
        }
        Claim::Replay(stored) => Ok(replay(stored)),
        Claim::InFlight => Err(Problem::new(
            Code::Conflict,
            "a request with this Idempotency-Key is still being worked on",
        )),
        Claim::Mismatch => Err(Problem::new(
            Code::ValidationError,
            "this Idempotency-Key was used with another request; take a new one",
        )),
    }
}

fn key(exchange: &Exchange) -> Result<Option<String>, Problem> {
    let Some(value) = exchange.http.headers().get("idempotency-key") else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()))
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| {
            Problem::new(
                Code::BadRequest,
                "Idempotency-Key must be 1 to 255 visible ASCII characters",
            )
        })
}

fn fingerprint(exchange: &Exchange, body: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [
        exchange.http.method().as_str().as_bytes(),
        exchange.http.path().as_bytes(),
        exchange.header("accept").unwrap_or_default().as_bytes(),
        body,
    ] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The body once more, for the operation.
fn replayable(body: Bytes) -> Payload {
    let once: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> =
        Box::pin(stream::once(std::future::ready(Ok(body))));
    Payload::from(once)
}

fn replay(stored: StoredResponse) -> HttpResponse {
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, stored.content_type))
        .insert_header(("idempotency-replayed", "true"))
        .body(stored.body)
}

/// A claim that is given back unless an answer was kept: when the operation
/// refuses, panics, or its client leaves.
struct Lease {
    exchange: Option<Exchange>,
    call: Call,
    claim: ClaimId,
}

impl Lease {
    fn new(exchange: &Exchange, call: Call, claim: ClaimId) -> Self {
        Self {
            exchange: Some(exchange.clone()),
            call,
            claim,
        }
    }

    /// Keeps a whole successful answer.
    async fn keep(mut self, response: HttpResponse) -> Result<HttpResponse, Problem> {
        let whole = matches!(response.body().size(), BodySize::None | BodySize::Sized(_));
        if !whole || !response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        // A sized body is in memory; reading it cannot fail.
        let body = to_bytes(body).await.map_err(|_| Problem::unexplained())?;
        let stored = StoredResponse {
            status: head.status().as_u16(),
            content_type: head
                .headers()
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            body: body.to_vec(),
        };
        if let Some(exchange) = self.exchange.take() {
            let store = &exchange.services.idempotency;
            if let Err(error) = store.complete(&self.call, self.claim, &stored, KEPT).await {
                // The work is done and answered; a repetition may do it again.
                tracing::warn!(%error, "an answer could not be kept for its Idempotency-Key");
            }
        }
        Ok(head.set_body(body).map_into_boxed_body())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(exchange) = self.exchange.take() else {
            return;
        };
        let (call, claim) = (self.call, self.claim);
        let store = exchange.services.idempotency.clone();
        exchange.services.spawner.spawn(async move {
            if let Err(error) = store.release(&call, claim).await {
                tracing::debug!(%error, "a claim lapses by itself");
            }
        });
    }
}
