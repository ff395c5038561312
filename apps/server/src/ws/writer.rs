//! The only task that writes to a connection's socket.

use super::{close::Close, frames::ToClient};
use crate::connections::Connection;
use actix_ws::{Closed, Session};
use jiff::Timestamp;
use mainstay_realtime::{CloseReason, SendQueue};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::timeout};

/// How long one frame may wait for a peer that does not read.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a Close may wait.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Writes what the queue gives until it is closed, then says why. A peer
/// that takes neither is cut at the socket, since no frame reaches it.
pub(super) async fn write(
    mut session: Session,
    mut queue: SendQueue<ToClient>,
    connection: Option<Arc<Connection>>,
    ending: oneshot::Receiver<Close>,
    now: impl Fn() -> Timestamp,
) {
    let mut reads = true;
    while let Some(frame) = queue.next().await {
        reads = matches!(
            timeout(PATIENCE, send(&mut session, frame)).await,
            Ok(Ok(()))
        );
        if !reads {
            break;
        }
    }
    let close = if queue.close_reason() == Some(CloseReason::Slow) {
        Close::slow()
    } else {
        // The reader ends the queue and tells why, or the peer is gone.
        drop(queue);
        ending.await.unwrap_or_else(|_| Close::normal())
    };
    let farewell = async {
        if let Some(bye) = close.bye(&now().to_string()) {
            send(&mut session, bye).await?;
        }
        session.close(Some(close.frame())).await
    };
    let told = reads && matches!(timeout(LAST_WORD, farewell).await, Ok(Ok(())));
    if !told && let Some(connection) = connection {
        connection.cut();
    }
}

async fn send(session: &mut Session, frame: ToClient) -> Result<(), Closed> {
    match frame.text() {
        Ok(text) => session.text(text).await,
        Err(ToClient::Pong(payload)) => session.pong(&payload).await,
        Err(_) => session.ping(b"").await,
    }
}
