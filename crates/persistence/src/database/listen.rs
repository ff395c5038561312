//! Hearing of other servers' events, and telling them of ours.
//!
//! A NOTIFY inside a writing transaction would make commits wait for each
//! other, all over the server. So commits only ring a bell in their process,
//! and this loop tells the others: one NOTIFY for however many commits there
//! were since the last. It listens on a connection of the pool, so that the
//! maximum holds; whoever misses a NOTIFY finds the event by polling.

use super::{Inner, connect::OUTBOX_CHANNEL, lease::Conn};
use mainstay_resilience::Deadline;
use std::{sync::atomic::Ordering, time::Duration};

/// How often others are told at most.
const PERIOD: Duration = Duration::from_millis(100);
/// How often a connection that has nothing to tell is checked, in periods.
const CHECK: u32 = 100;
/// The longest time of one NOTIFY.
const LIMIT: Duration = Duration::from_secs(2);

impl Inner {
    /// Listens until the database is closed. Behind a transaction pooler, or
    /// without a connection to spare, there is only polling.
    pub(super) async fn listen(&self) {
        if self.config.pgbouncer || self.config.max_connections < 3 {
            return;
        }
        let mut listening: Option<Conn> = None;
        let mut quiet = 0;
        while !self.is_closed() {
            tokio::time::sleep(PERIOD).await;
            if !self.serving.load(Ordering::Acquire) {
                continue;
            }
            let Some(conn) = &listening else {
                listening = self.start_listening().await;
                // Whatever was told before is found by looking.
                self.outbox_bell.notify_one();
                if listening.is_none() {
                    tokio::time::sleep(LIMIT).await;
                }
                continue;
            };
            let tell = self.outbox_untold.swap(false, Ordering::AcqRel);
            quiet += 1;
            if !tell && quiet < CHECK {
                continue;
            }
            quiet = 0;
            let sql = if tell {
                format!("NOTIFY {OUTBOX_CHANNEL}")
            } else {
                String::from("SELECT 1")
            };
            let said = tokio::time::timeout(LIMIT, conn.batch(&sql)).await;
            if !matches!(said, Ok(Ok(()))) {
                listening = None;
            }
        }
    }

    async fn start_listening(&self) -> Option<Conn> {
        let conn = self.acquire(Deadline::never()).await.ok()?;
        // It listens, so it is no connection for anybody else.
        conn.keep_out_of_the_pool();
        let listen = format!("LISTEN {OUTBOX_CHANNEL}");
        let listening = tokio::time::timeout(LIMIT, conn.batch(&listen)).await;
        matches!(listening, Ok(Ok(()))).then_some(conn)
    }
}
