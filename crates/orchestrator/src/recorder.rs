//! Records of cache hits: a hit answers at once and is written down in batches.

use mainstay_persistence::{CacheHit, Usage};
use mainstay_resilience::{Deadline, SharedClock};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

/// Takes records of cache hits without waiting.
pub(crate) struct Recorder {
    sender: mpsc::Sender<CacheHit>,
    receiver: Mutex<mpsc::Receiver<CacheHit>>,
    lost: AtomicU64,
}

/// Records that wait while Postgres is away; about 30 MB when full.
const WAITING: usize = 65_536;
/// The most records of one transaction.
const BATCH: usize = 2_000;
/// How long a record waits for company, unless a batch is full before.
const PERIOD: Duration = Duration::from_secs(1);
/// How long writing one batch may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl Recorder {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            sender,
            receiver: Mutex::new(receiver),
            lost: AtomicU64::new(0),
        }
    }

    /// Notes a hit. When Postgres has been away for so long that the queue is
    /// full, the record is lost and counted: answering goes before counting.
    pub(crate) fn note(&self, hit: CacheHit) {
        if self.sender.try_send(hit).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::error!(
                    name: "usage.records_lost",
                    lost,
                    "records of cache hits are lost, since the database has been away for too long",
                );
            }
        }
    }

    /// Records that were lost since the process began.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes batches until `shutdown`, then everything that still waits.
    pub(crate) async fn run(
        &self,
        usage: &Usage,
        clock: &SharedClock,
        shutdown: CancellationToken,
    ) {
        // The lock is for the one caller of this function; nobody else takes it.
        let mut receiver = self.receiver.lock().await;
        let mut batch = Vec::with_capacity(BATCH);
        while !shutdown.is_cancelled() {
            let waiting = batch.len() + receiver.len();
            let is_empty = batch.is_empty();
            tokio::select! {
                () = shutdown.cancelled() => break,
                received = receiver.recv_many(&mut batch, BATCH), if is_empty => {
                    if received == 0 {
                        return;
                    }
                }
                () = company(waiting), if !is_empty => {
                    while batch.len() < BATCH {
                        let Ok(hit) = receiver.try_recv() else { break };
                        batch.push(hit);
                    }
                    if !write(usage, clock, &mut batch).await {
                        tokio::time::sleep(PERIOD).await;
                    }
                }
            }
        }
        while let Ok(hit) = receiver.try_recv() {
            batch.push(hit);
            if batch.len() == BATCH && !write(usage, clock, &mut batch).await {
                break;
            }
        }
        if !batch.is_empty() && !write(usage, clock, &mut batch).await {
            tracing::error!(
                name: "usage.records_lost",
                lost = batch.len() + receiver.len(),
                "records of cache hits could not be written before the end",
            );
        }
    }
}

/// Waits for more records, unless there are enough for a batch.
async fn company(waiting: usize) {
    if waiting < BATCH {
        tokio::time::sleep(PERIOD).await;
    }
}

/// Writes a batch and empties it; keeps it when the database is away. Writing
/// a record twice changes nothing, since its id is its own.
async fn write(usage: &Usage, clock: &SharedClock, batch: &mut Vec<CacheHit>) -> bool {
    let deadline = Deadline::after(&**clock, PATIENCE);
    match usage.record_batch(batch, deadline).await {
        Ok(_) => {
            batch.clear();
            true
        }
        Err(error) => {
            tracing::warn!(name: "usage.batch_kept", records = batch.len(), "{error}; the batch is kept");
            false
        }
    }
}
