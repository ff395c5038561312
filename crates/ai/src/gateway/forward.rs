//! Send a dialect's request to whoever can answer, and answer in that dialect.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::error_shape::error_event;
use super::{GatewayRequest, Opening, StreamEncoder, encode_answer};
use crate::client::{CallOptions, Client};
use crate::config::ProviderKind;
use crate::dialect::{Piece, Wire};
use crate::error::AiError;
use crate::hedge;
use crate::journey::Journey;
use crate::question::Question;
use crate::response::{ChatResponse, Usage};
use crate::sse::SseEvent;
use crate::stream::{Current, begin};

/// What came back.
#[derive(Debug)]
pub enum Forwarded {
    /// A whole answer.
    Whole {
        /// The body to hand out, `application/json`.
        body: Bytes,
        /// The provider's ids and rate limits, when it speaks the caller's dialect.
        headers: Vec<(String, String)>,
        /// What it says, for records.
        summary: Box<ChatResponse>,
    },
    /// A stream that has begun.
    Stream(GatewayStream),
}

/// What a forwarded stream says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum GatewayEvent {
    /// Bytes to hand out, `text/event-stream`: one whole event.
    Frame(Bytes),
    /// Nothing to hand out: the answer is whole, and this is what it was.
    Finished(Box<ChatResponse>),
}

/// An event, and what had been used by then.
type Reading = Result<(GatewayEvent, Usage), AiError>;

/// A stream of frames in the caller's dialect. When the provider fails within
/// it, the dialect's own error event is the last frame and the error follows;
/// the dialect's end mark is never made up. Dropping it stops the provider.
pub struct GatewayStream {
    events: Pin<Box<dyn Stream<Item = Reading> + Send>>,
    headers: Vec<(String, String)>,
    used: Usage,
}

impl Client {
    /// Forwards a request that came in a vendor's dialect: routed, retried and
    /// falling back like any other until the first piece of an answer.
    ///
    /// # Errors
    /// [`AiError`] when nobody answered, or began to;
    /// [`error_body`](super::error_body) puts it into the caller's dialect.
    pub async fn forward(
        &self,
        request: GatewayRequest,
        options: CallOptions,
    ) -> Result<Forwarded, AiError> {
        let route = self.inner.route(request.model())?;
        let translation = request.to_chat();
        let wants = (
            request.dialect(),
            request.is_stream(),
            request.wants_usage(),
        );
        let reachable = route
            .deployments()
            .any(|deployment| deployment.provider.wire == Wire::from(request.dialect()));
        let translated = match translation {
            Ok(chat) => Some(chat),
            Err(error) if !reachable => return Err(error),
            Err(_) => None,
        };
        let question = Question::Gateway {
            request,
            translated,
        };
        let journey = Journey::new(Arc::clone(&self.inner), route, question, options);
        match wants {
            (dialect, false, _) => whole(journey, dialect).await,
            (dialect, true, include_usage) => stream(journey, dialect, include_usage).await,
        }
    }
}

async fn whole(mut journey: Journey, dialect: ProviderKind) -> Result<Forwarded, AiError> {
    let (turn, (answer, received)) = hedge::ask(&mut journey, |attempt, turn| {
        let limit = turn.whole;
        async move { attempt.whole(limit).await }
    })
    .await?;
    let same = turn.deployment.provider.wire == Wire::from(dialect);
    let summary = journey.finish_whole(turn, answer);
    let (body, headers) = if same {
        (received.body, received.headers)
    } else {
        (
            encode_answer(dialect, &summary, created(&journey)),
            Vec::new(),
        )
    };
    Ok(Forwarded::Whole {
        body: Bytes::from(body),
        headers,
        summary: Box::new(summary),
    })
}

fn created(journey: &Journey) -> u64 {
    journey.inner.clock.unix_time().as_secs()
}

async fn stream(
    mut journey: Journey,
    dialect: ProviderKind,
    include_usage: bool,
) -> Result<Forwarded, AiError> {
    let current = begin(&mut journey).await?;
    let projector = if current.wire() == Wire::from(dialect) {
        Projector::Same {
            dialect,
            include_usage,
        }
    } else {
        let opening = Opening {
            model: current.model().to_owned(),
            created: created(&journey),
            input_tokens: journey.question.estimate_input_tokens(),
            include_usage,
        };
        Projector::Translated(Box::new(StreamEncoder::new(dialect, opening)))
    };
    let used = current.usage_so_far();
    let headers = match &projector {
        Projector::Same { .. } => current.headers().to_vec(),
        Projector::Translated(_) => Vec::new(),
    };
    let relay = Relay {
        journey,
        dialect,
        current: Some(current),
        projector,
        pending: VecDeque::new(),
    };
    let events = futures_util::stream::unfold(relay, |mut relay| async move {
        let event = relay.next().await?;
        Some((event, relay))
    });
    Ok(Forwarded::Stream(GatewayStream {
        events: Box::pin(events),
        headers,
        used,
    }))
}

/// How the upstream's events become the caller's.
enum Projector {
    /// They are the same, known or not.
    Same {
        dialect: ProviderKind,
        include_usage: bool,
    },
    Translated(Box<StreamEncoder>),
}

impl Projector {
    fn project(&mut self, event: &SseEvent, pieces: &[Piece], out: &mut Vec<Bytes>) {
        match self {
            Self::Same {
                dialect,
                include_usage,
            } => {
                // We always ask for the usage; who did not is not shown it.
                let hidden = *dialect == ProviderKind::OpenAi
                    && !*include_usage
                    && is_usage_alone(event, pieces);
                if !hidden {
                    out.push(frame(event));
                }
            }
            Self::Translated(encoder) => pieces.iter().for_each(|piece| encoder.say(piece, out)),
        }
    }
}

fn is_usage_alone(event: &SseEvent, pieces: &[Piece]) -> bool {
    let says_usage = pieces.iter().any(|piece| matches!(piece, Piece::Usage(_)));
    let nothing_else = pieces
        .iter()
        .all(|piece| matches!(piece, Piece::Usage(_) | Piece::Id(_)));
    says_usage && nothing_else && event.data.replace(' ', "").contains("\"choices\":[]")
}

fn frame(event: &SseEvent) -> Bytes {
    let mut frame = String::with_capacity(event.data.len() + 32);
    if !event.event.is_empty() {
        frame.push_str("event: ");
        frame.push_str(&event.event);
        frame.push('\n');
    }
    for line in event.data.split('\n') {
        frame.push_str("data: ");
        frame.push_str(line);
        frame.push('\n');
    }
    frame.push('\n');
    Bytes::from(frame)
}

enum Said {
    Event(GatewayEvent, Usage),
    Failed(AiError),
}

struct Relay {
    journey: Journey,
    dialect: ProviderKind,
    /// `None` once the stream is over.
    current: Option<Current>,
    projector: Projector,
    pending: VecDeque<Said>,
}

impl Relay {
    async fn next(&mut self) -> Option<Reading> {
        loop {
            match self.pending.pop_front() {
                Some(Said::Event(event, used)) => return Some(Ok((event, used))),
                Some(Said::Failed(error)) => return Some(Err(error)),
                None => self.read().await?,
            }
        }
    }

    /// Reads one event of the upstream; `None` when the stream is over.
    async fn read(&mut self) -> Option<()> {
        let mut current = self.current.take()?;
        let limit = self.journey.inner.config.limits.streamed_text_bytes;
        let taken = match current.next_frame().await {
            Ok((event, pieces)) => current
                .take_all(&pieces, limit)
                .map(|done| (event, pieces, done)),
            Err(failure) => Err(failure),
        };
        match taken {
            Ok((event, pieces, done)) => {
                let mut frames = Vec::new();
                self.projector.project(&event, &pieces, &mut frames);
                let used = current.usage_so_far();
                let events = frames
                    .into_iter()
                    .map(|bytes| Said::Event(GatewayEvent::Frame(bytes), used));
                self.pending.extend(events);
                if done {
                    let summary = current.into_response(&mut self.journey);
                    let used = summary.usage;
                    self.pending
                        .push_back(Said::Event(GatewayEvent::Finished(Box::new(summary)), used));
                } else {
                    self.current = Some(current);
                }
            }
            Err(failure) => {
                let used = current.usage_so_far();
                let failed = self
                    .journey
                    .failed(current.into_turn(), failure, Some(used));
                let error = failed
                    .err()
                    .unwrap_or_else(|| self.journey.give_up())
                    .truncating();
                let last = GatewayEvent::Frame(error_event(self.dialect, &error));
                self.pending.push_back(Said::Event(last, used));
                self.pending.push_back(Said::Failed(error));
            }
        }
        Some(())
    }
}

impl GatewayStream {
    /// The next event; `None` after [`GatewayEvent::Finished`] or an error.
    pub async fn next(&mut self) -> Option<Result<GatewayEvent, AiError>> {
        StreamExt::next(self).await
    }

    /// The provider's ids and rate limits, when it speaks the caller's dialect.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// What has been used so far, counted here where the provider has not said
    /// yet: what a stream costs that is dropped now.
    pub fn usage_so_far(&self) -> Usage {
        self.used
    }
}

impl Stream for GatewayStream {
    type Item = Result<GatewayEvent, AiError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.events.as_mut().poll_next(context).map(|next| {
            next.map(|said| {
                said.map(|(event, used)| {
                    this.used = used;
                    event
                })
            })
        })
    }
}

impl fmt::Debug for GatewayStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayStream")
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}
