//! Where the steps of an answer go while it is made.

use crate::event::AnswerEvent;
use std::future::Future;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Why an answer shall not be finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody asked for it, or nobody waits any more.
    Cancelled,
    /// The process is going away.
    Shutdown,
}

/// Takes the steps of an answer, and says when they are no longer wanted.
pub(crate) trait AnswerSink: Send {
    /// Hands over one step; waits while the receiver is behind.
    fn emit(&mut self, event: AnswerEvent) -> impl Future<Output = ()> + Send;

    /// Completes when the answer is no longer wanted.
    fn stopped(&self) -> impl Future<Output = Stop> + Send;
}

/// One client reads along; when it leaves, the work ends.
pub(crate) struct ClientSink {
    sender: mpsc::Sender<AnswerEvent>,
    shutdown: CancellationToken,
}

impl ClientSink {
    /// Steps that may wait for a slow client before the model is slowed down too.
    const WAITING: usize = 32;

    pub(crate) fn new(shutdown: CancellationToken) -> (Self, mpsc::Receiver<AnswerEvent>) {
        let (sender, receiver) = mpsc::channel(Self::WAITING);
        (Self { sender, shutdown }, receiver)
    }
}

impl AnswerSink for ClientSink {
    async fn emit(&mut self, event: AnswerEvent) {
        // A client that left is noticed by `stopped`, so the error says nothing new.
        let _ = self.sender.send(event).await;
    }

    async fn stopped(&self) -> Stop {
        tokio::select! {
            () = self.sender.closed() => Stop::Cancelled,
            () = self.shutdown.cancelled() => Stop::Shutdown,
        }
    }
}
