//! Answers as they are made.

mod relay;
mod tally;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};

use crate::client::{CallOptions, Client};
use crate::error::AiError;
use crate::journey::Journey;
use crate::question::Question;
use crate::request::ChatRequest;
use crate::response::{ChatResponse, Usage};
use relay::Relay;
pub(crate) use relay::{Current, begin};
use tally::Tally;

/// What a stream says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// A deployment has begun to answer. It is the first event, and comes
    /// again after a [`Reset`](Self::Reset).
    Started {
        /// The provider's own model id.
        model: String,
        /// The provider's configured name.
        provider: String,
    },
    /// The next piece of the text.
    Delta(String),
    /// The next piece of a tool call; the whole call is in
    /// [`Finished`](Self::Finished).
    ToolCallDelta {
        /// Tells calls of one answer apart.
        index: usize,
        /// Its id, in the first piece.
        id: Option<String>,
        /// Its tool, in the first piece.
        name: Option<String>,
        /// More of its arguments' JSON text.
        arguments: String,
    },
    /// All that was used so far; it replaces what was said before.
    Usage(Usage),
    /// What was said so far is withdrawn: its provider failed, and the answer
    /// begins again.
    Reset,
    /// The answer is whole. It is the last event of a good stream.
    Finished(Box<ChatResponse>),
}

/// An answer as it is made.
///
/// A stream that ends without [`StreamEvent::Finished`] has ended with an
/// error, and what it said is not a whole answer: the provider's own end mark
/// alone makes it whole. Dropping the stream closes the connection, by which
/// the provider learns to stop.
pub struct ChatStream {
    events: Pin<Box<dyn Stream<Item = Result<StreamEvent, AiError>> + Send>>,
    tally: Tally,
    over: bool,
}

impl Client {
    /// Asks for an answer as it is made. It returns once the first piece of an
    /// answer is there; until then failures are retried and fall back as in
    /// [`complete`](Client::complete), and nobody sees them.
    ///
    /// # Errors
    /// [`AiError`] when nobody began an answer. Later failures come out of the
    /// stream.
    pub async fn stream(
        &self,
        request: &ChatRequest,
        options: CallOptions,
    ) -> Result<ChatStream, AiError> {
        let route = self.inner.check(request)?;
        let tally = Tally::new(request.estimate_input_tokens());
        let journey = Journey::new(
            Arc::clone(&self.inner),
            route,
            Question::Chat(request.clone()),
            options,
        );
        let relay = Relay::open(journey).await?;
        let events = futures_util::stream::unfold(relay, |mut relay| async move {
            let event = relay.next().await?;
            Some((event, relay))
        });
        Ok(ChatStream {
            events: Box::pin(events),
            tally,
            over: false,
        })
    }
}

impl ChatStream {
    /// The next event; `None` after [`StreamEvent::Finished`] or an error.
    pub async fn next(&mut self) -> Option<Result<StreamEvent, AiError>> {
        StreamExt::next(self).await
    }

    /// What the answer has used so far, also for a stream that is about to be
    /// dropped: what the provider said, and where it has not said yet a count
    /// of what has arrived. See
    /// [`usage_is_estimate`](Self::usage_is_estimate). An attempt that a
    /// [`StreamEvent::Reset`] withdrew is included: it has to be paid too.
    pub fn usage_so_far(&self) -> Usage {
        self.tally.usage()
    }

    /// Whether [`usage_so_far`](Self::usage_so_far) is counted here, at least
    /// in part, rather than the provider's final word.
    pub fn usage_is_estimate(&self) -> bool {
        self.tally.is_estimate()
    }
}

impl Stream for ChatStream {
    type Item = Result<StreamEvent, AiError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let polled = this.events.as_mut().poll_next(context);
        match &polled {
            Poll::Ready(Some(Ok(event))) => {
                this.tally.hear(event);
                this.over = matches!(event, StreamEvent::Finished(_));
            }
            Poll::Ready(Some(Err(_)) | None) => this.over = true,
            Poll::Pending => {}
        }
        polled
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("usage_so_far", &self.usage_so_far())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
