//! The one task that writes to the disk.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Warm, engine::Failure, journal::Journal};
use crate::{
    counters::count,
    observer::{Event, Tier, TierState},
    time::micros,
};

/// Writes what is queued until the tier closes and the queue is empty.
pub(super) async fn run(warm: Arc<Warm>) {
    loop {
        let batch_limit = warm.config.buffer_bytes() / 2;
        let batch = warm.queue.take(batch_limit);
        if batch.is_empty() {
            if warm.closing.load(Ordering::Acquire) {
                return;
            }
            warm.queue.arrived().await;
            continue;
        }
        if let Some(engine) = warm.engine.load_full() {
            match engine.write(&batch).await {
                Ok(()) => {
                    warm.counters
                        .writes
                        .fetch_add(batch.len() as u64, Ordering::Relaxed);
                    warm.succeeded();
                    warm.proved_at
                        .store(micros(warm.clock.now()), Ordering::Relaxed);
                }
                Err(failure) => {
                    batch.iter().for_each(|_| {
                        count(&warm.counters.dropped);
                        warm.watch.emit(&Event::Dropped { tier: Tier::Warm });
                    });
                    match failure {
                        // Some entries found no place; whether the engine
                        // still works is another question.
                        Failure::Lost => warm.prove(&engine).await,
                        failure => warm.failed(&engine, &failure, true),
                    }
                }
            }
        }
        warm.queue.written();
    }
}

impl Warm {
    /// Stops taking entries; the writer ends once the queue is empty.
    pub(crate) fn stop(&self) {
        self.closing.store(true, Ordering::Release);
        self.queue.wake();
    }

    /// Waits until everything queued is written, at most `limit`.
    pub(crate) async fn flush(&self, limit: Duration) {
        let written = async {
            while !self.queue.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(limit, written).await.is_err() {
            tracing::warn!("the disk tier did not take all entries in time");
        }
    }

    /// Ends the tier: what is written stays and is believed by the next
    /// process.
    pub(crate) async fn close(&self, limit: Duration) {
        self.flush(limit).await;
        self.stop();
        let from = self.state();
        self.health().close();
        if let Some(engine) = self.engine.swap(None) {
            let ended = async {
                engine.close(limit).await?;
                engine.journal(Journal::close).await
            };
            if let Err(failure) = ended.await {
                tracing::warn!(%failure, "the disk tier did not end cleanly");
            }
        }
        self.life().lock = None;
        if from != TierState::Closed {
            self.changed(from, "shut down");
        }
    }
}
