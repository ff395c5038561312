//! Channels: messages for whoever listens now.

use std::{fmt, time::Duration};

use bytes::Bytes;
use fred::{
    clients::SubscriberClient,
    interfaces::{ClientLike, EventInterface, PubsubInterface},
    types::{Message as EngineMessage, config::Server},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{ConfigError, Redis, connection::ConnectTask};

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Somebody published.
    Payload {
        /// The channel.
        channel: String,
        /// What was published.
        payload: Bytes,
    },
    /// The subscription was armed: from here on nothing is missed until the
    /// next gap, and what was published before may have been. It is the first
    /// message of every subscription, comes after every reconnect and whenever
    /// the subscriber fell too far behind.
    Gap,
}

/// Channels on a connection of their own, subscribed again after every
/// reconnect while [`next`](Self::next) is being awaited.
pub struct Subscription {
    client: SubscriberClient,
    channels: Vec<String>,
    messages: Receiver<EngineMessage>,
    reconnects: Receiver<Server>,
    armed: bool,
    retry: Duration,
    _task: ConnectTask,
}

impl Redis {
    /// Listens to `channels`. Connects in the background.
    ///
    /// # Errors
    /// The settings of this client cannot be used. A server that is away is
    /// not an error: the first [`Message::Gap`] comes when it is back.
    pub fn subscribe(&self, channels: &[&str]) -> Result<Subscription, ConfigError> {
        let client = self
            .builder(self.config().command_timeout)?
            .build_subscriber_client()
            .map_err(|_| ConfigError::new("url", "is not one that the client can use"))?;
        // Taken before connecting, so that nothing is missed.
        let (messages, reconnects) = (client.message_rx(), client.reconnect_rx());
        let task = ConnectTask::start(&client);
        Ok(Subscription {
            client,
            channels: channels
                .iter()
                .map(|channel| (*channel).to_owned())
                .collect(),
            messages,
            reconnects,
            armed: false,
            retry: self.config().reconnect_min,
            _task: task,
        })
    }
}

impl Subscription {
    /// The next message. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Message {
        loop {
            if !self.armed {
                self.arm().await;
                return Message::Gap;
            }
            tokio::select! {
                biased;
                reconnect = self.reconnects.recv() => match reconnect {
                    Ok(_) | Err(RecvError::Lagged(_)) => self.armed = false,
                    Err(RecvError::Closed) => std::future::pending().await,
                },
                message = self.messages.recv() => match message {
                    Ok(message) => if let Some(payload) = message.value.into_bytes() {
                        return Message::Payload { channel: message.channel.to_string(), payload };
                    },
                    // The engine's own handlers would end here, silently.
                    Err(RecvError::Lagged(_)) => return Message::Gap,
                    Err(RecvError::Closed) => std::future::pending().await,
                },
            }
        }
    }

    /// Subscribes, for as long as it takes.
    async fn arm(&mut self) {
        loop {
            if self.client.is_connected() {
                while self.reconnects.try_recv().is_ok() {}
                if self.client.subscribe(self.channels.clone()).await.is_ok() {
                    self.armed = true;
                    return;
                }
            }
            tokio::time::sleep(self.retry).await;
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("channels", &self.channels)
            .field("armed", &self.armed)
            .finish_non_exhaustive()
    }
}
