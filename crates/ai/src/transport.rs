//! One request to one deployment: send it, read it, say how it failed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mainstay_resilience::{Deadline, SharedClock};
use reqwest::header::HeaderMap;
use tokio::time::timeout;

use crate::config::SizeLimits;
use crate::deployment::Deployment;
use crate::dialect::{self, Answer, Piece, StreamDecoder};
use crate::error::{ErrorKind, Failure};
use crate::pace;
use crate::question::Question;
use crate::sse::{SseEvent, SseParser};

/// How long to read an error body for: the status has already told the essence.
const ERROR_BODY: Duration = Duration::from_secs(5);

/// What one attempt needs to know.
pub(crate) struct Attempt {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) question: Arc<Question>,
    pub(crate) traceparent: Option<String>,
    pub(crate) limits: SizeLimits,
    pub(crate) clock: SharedClock,
}

impl Attempt {
    /// Asks for a whole answer, within `limit`; with it comes the body as the
    /// provider wrote it.
    pub(crate) async fn whole(&self, limit: Duration) -> Result<(Answer, Received), Failure> {
        let received = self.body(limit).await?;
        let mut answer = dialect::decode_answer(self.deployment.provider.wire, &received.body)?;
        answer.id = answer.id.or_else(|| received.upstream_id.clone());
        Ok((answer, received))
    }

    /// Asks, within `limit`, for a body that is not a stream.
    pub(crate) async fn body(&self, limit: Duration) -> Result<Received, Failure> {
        let work = async {
            let mut response = self.send(false).await?;
            Ok(Received {
                upstream_id: upstream_id(response.headers()),
                headers: told_on(response.headers()),
                body: read_all(&mut response, self.limits.response_bytes).await?,
            })
        };
        timeout(limit, work).await.unwrap_or_else(|_| {
            let detail = format!("no answer within {limit:?}");
            Err(Failure::new(ErrorKind::Timeout, detail))
        })
    }

    /// Asks for a stream and waits, for at most `first_token`, until its first
    /// piece of answer is there; until `total` ends, the stream may go on.
    pub(crate) async fn stream(
        &self,
        first_token: Duration,
        total: Deadline,
    ) -> Result<LiveStream, Failure> {
        let work = async {
            let response = self.send(true).await?;
            let mut live = LiveStream::new(response, self, total)?;
            live.await_first().await?;
            Ok(live)
        };
        timeout(first_token, work).await.unwrap_or_else(|_| {
            let detail = format!("no first piece of an answer within {first_token:?}");
            Err(Failure::new(ErrorKind::Timeout, detail))
        })
    }

    async fn send(&self, stream: bool) -> Result<reqwest::Response, Failure> {
        let Deployment {
            provider,
            model,
            quirks,
            ..
        } = self.deployment.as_ref();
        let body = self
            .question
            .encode(provider.wire, model, stream, *quirks)?;
        let mut headers = provider.headers.clone();
        self.question.set_headers(provider.wire, &mut headers);
        let accept = if stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        let mut request = provider
            .http
            .post(format!(
                "{}{}",
                provider.base,
                self.question.path(provider.wire)
            ))
            .headers(headers)
            .header("accept", accept)
            .body(body);
        if let Some(traceparent) = &self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        let response = request.send().await.map_err(Failure::from_transport)?;
        self.deployment
            .pace
            .learn(self.clock.as_ref(), response.headers());
        if response.status().as_u16() == 200 {
            return Ok(response);
        }
        Err(self.refusal(response).await)
    }

    async fn refusal(&self, mut response: reqwest::Response) -> Failure {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = timeout(
            ERROR_BODY,
            read_some(&mut response, self.limits.error_bytes),
        )
        .await
        .unwrap_or_default();
        let mut failure = dialect::decode_error(status, &body);
        failure.retry_after = pace::retry_after(&headers, self.clock.unix_time());
        failure.upstream_id = upstream_id(&headers).or(failure.upstream_id);
        failure.retry_forbidden = headers
            .get("x-should-retry")
            .is_some_and(|value| value == "false");
        failure
    }
}

/// A body as it came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) body: Vec<u8>,
    /// The provider's id of the request.
    pub(crate) upstream_id: Option<String>,
    /// What a caller of the same dialect is told of it.
    pub(crate) headers: Vec<(String, String)>,
}

/// The headers that mean something to a caller: ids and limits.
fn told_on(headers: &HeaderMap) -> Vec<(String, String)> {
    let telling = |name: &str| {
        matches!(name, "request-id" | "x-request-id" | "openai-processing-ms")
            || name.starts_with("x-ratelimit-")
            || name.starts_with("anthropic-ratelimit-")
    };
    headers
        .iter()
        .filter(|(name, _)| telling(name.as_str()))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

fn upstream_id(headers: &HeaderMap) -> Option<String> {
    ["request-id", "x-request-id"]
        .into_iter()
        .find_map(|name| headers.get(name)?.to_str().ok())
        .map(str::to_owned)
}

fn broken(error: reqwest::Error) -> Failure {
    Failure {
        source: Some(Box::new(error.without_url())),
        ..Failure::new(
            ErrorKind::Truncated,
            "the connection broke within the answer",
        )
    }
}

async fn read_all(response: &mut reqwest::Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > limit {
            return Err(Failure::new(
                ErrorKind::TooLarge,
                format!("more than {limit} bytes"),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// As much as there is, up to the limit; an error ends it.
async fn read_some(response: &mut reqwest::Response, limit: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limit - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    body
}

/// An event of the provider, and what it says.
pub(crate) type Frame = (SseEvent, Vec<Piece>);

/// A stream that has begun. Dropping it closes the connection, which is how
/// the provider learns that nobody listens any more.
#[derive(Debug)]
pub(crate) struct LiveStream {
    response: reqwest::Response,
    parser: SseParser,
    decoder: StreamDecoder,
    /// Read already, not taken yet.
    frames: VecDeque<Frame>,
    pieces: VecDeque<Piece>,
    /// What ends the stream once everything before it has been taken.
    end: Option<Failure>,
    clock: SharedClock,
    idle: Duration,
    total: Deadline,
    pub(crate) upstream_id: Option<String>,
    /// What a caller of the same dialect is told of it.
    pub(crate) headers: Vec<(String, String)>,
}

impl LiveStream {
    fn new(
        response: reqwest::Response,
        attempt: &Attempt,
        total: Deadline,
    ) -> Result<Self, Failure> {
        let is_stream = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.trim_start().starts_with("text/event-stream"));
        if !is_stream {
            return Err(Failure::new(
                ErrorKind::Garbled,
                "the answer is not an event stream",
            ));
        }
        let provider = &attempt.deployment.provider;
        Ok(Self {
            upstream_id: upstream_id(response.headers()),
            headers: told_on(response.headers()),
            response,
            parser: SseParser::new(attempt.limits.event_bytes),
            decoder: StreamDecoder::new(provider.wire),
            frames: VecDeque::new(),
            pieces: VecDeque::new(),
            end: None,
            clock: SharedClock::clone(&attempt.clock),
            idle: provider.timeouts.idle(),
            total,
        })
    }

    /// Reads until there is something to show, and keeps it.
    async fn await_first(&mut self) -> Result<(), Failure> {
        loop {
            let frame = self.read_frame().await?;
            let shows = frame
                .1
                .iter()
                .any(|piece| !matches!(piece, Piece::Id(_) | Piece::Usage(_)));
            self.frames.push_back(frame);
            if shows {
                return Ok(());
            }
        }
    }

    /// The next event and what it says. After [`Piece::Done`] there is none,
    /// and nobody asks.
    pub(crate) async fn next_frame(&mut self) -> Result<Frame, Failure> {
        match self.frames.pop_front() {
            Some(frame) => Ok(frame),
            None => self.read_frame().await,
        }
    }

    /// The next piece, for who does not care for events.
    pub(crate) async fn next(&mut self) -> Result<Piece, Failure> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok(piece);
            }
            let (_, pieces) = self.next_frame().await?;
            self.pieces.extend(pieces);
        }
    }

    async fn read_frame(&mut self) -> Result<Frame, Failure> {
        loop {
            if let Some(event) = self.parser.next_event() {
                let mut pieces = Vec::new();
                self.decoder.accept(&event, &mut pieces)?;
                return Ok((event, pieces));
            }
            if let Some(failure) = self.end.take() {
                return Err(failure);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let remaining = self.total.remaining(self.clock.as_ref());
        let limit = self.idle.min(remaining);
        let Ok(chunk) = timeout(limit, self.response.chunk()).await else {
            let detail = if limit < self.idle {
                "the time for the whole answer is over".to_owned()
            } else {
                format!("no further piece of the answer within {limit:?}")
            };
            return Err(Failure::new(ErrorKind::Timeout, detail));
        };
        match chunk.map_err(broken)? {
            Some(bytes) => {
                if let Err(error) = self.parser.feed(&bytes) {
                    self.end = Some(Failure::new(ErrorKind::Garbled, error.to_string()));
                }
            }
            None => {
                let detail = "the stream ended without its end mark";
                self.end = Some(Failure::new(ErrorKind::Truncated, detail));
            }
        }
        Ok(())
    }
}
