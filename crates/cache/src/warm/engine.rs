//! One life of the disk store: opened, used, thrown away when it is sick.
//!
//! The engine reports no failed write, can be dead without a word, may panic
//! in its caller and knows no time limits. So every call is bounded and
//! guarded here, every batch is looked up after it was written, and nobody
//! keeps an engine that failed: the next one is built from the same files.

use std::{
    fmt, io,
    panic::AssertUnwindSafe,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use foyer::{
    BlockEngineConfig, Code, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, Load, PsyncIoEngineConfig, RecoverMode, Spawner,
};
use futures_util::FutureExt;

use super::{WarmConfig, journal::Journal};
use crate::key::Fingerprint;

/// Why the store did not do what it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The operating system said no.
    Io(String),
    /// It took too long.
    Hung,
    /// The engine panicked or its tasks are gone.
    Dead,
    /// What was written is not there.
    Lost,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "I/O error: {error}"),
            Self::Hung => f.write_str("no answer in time"),
            Self::Dead => f.write_str("the disk engine died"),
            Self::Lost => f.write_str("what was written is not there"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// A digest as the engine's key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DiskKey([u8; 32]);

impl From<Fingerprint> for DiskKey {
    fn from(fingerprint: Fingerprint) -> Self {
        Self(fingerprint.0)
    }
}

impl Code for DiskKey {
    fn encode(&self, writer: &mut impl io::Write) -> foyer::Result<()> {
        writer.write_all(&self.0).map_err(foyer::Error::io_error)
    }

    fn decode(reader: &mut impl io::Read) -> foyer::Result<Self> {
        let mut bytes = [0; 32];
        reader
            .read_exact(&mut bytes)
            .map_err(foyer::Error::io_error)?;
        Ok(Self(bytes))
    }

    fn estimated_size(&self) -> usize {
        32
    }
}

type Store = HybridCache<DiskKey, Bytes>;

/// An open store.
pub(crate) struct Engine {
    store: Store,
    /// Keeps the threads that do the I/O: a hung disk holds up these and no
    /// others.
    spawner: Spawner,
    journal: Arc<Mutex<Journal>>,
    pub(crate) generation: u64,
    read_timeout: Duration,
    write_timeout: Duration,
}

/// Threads that wait for the disk.
const IO_THREADS: usize = 8;

/// A runtime of the tier's own.
pub(crate) fn spawner() -> io::Result<Spawner> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(IO_THREADS)
        .thread_name("cache-disk")
        .enable_time()
        .build()?;
    Ok(Spawner::from(runtime))
}

impl Engine {
    /// Opens the store in `dir`; with `recover` it keeps what is there.
    pub(crate) async fn open(
        dir: &Path,
        config: &WarmConfig,
        journal: Journal,
        generation: u64,
        recover: bool,
        spawner: Spawner,
    ) -> Result<Self, Failure> {
        let (dir, plan) = (dir.to_owned(), config.clone());
        let for_store = spawner.clone();
        // On the tier's own threads, because opening files blocks, and so that
        // a panic of the engine ends a task and not the caller.
        let opening =
            spawner.spawn(async move { open_store(&dir, &plan, recover, for_store).await });
        let store = tokio::time::timeout(config.open_timeout, opening)
            .await
            .map_err(|_| Failure::Hung)?
            .map_err(|_| Failure::Dead)??;
        Ok(Self {
            store,
            spawner,
            journal: Arc::new(Mutex::new(journal)),
            generation,
            read_timeout: config.read_timeout,
            write_timeout: config.write_timeout,
        })
    }

    /// The bytes of `key`.
    pub(crate) async fn read(&self, key: Fingerprint) -> Result<Option<Bytes>, Failure> {
        let key = DiskKey::from(key);
        if !self.store.storage().may_contains(&key) {
            return Ok(None);
        }
        let loading = AssertUnwindSafe(self.store.storage().load(&key)).catch_unwind();
        match tokio::time::timeout(self.read_timeout, loading).await {
            Err(_) => Err(Failure::Hung),
            Ok(Err(_)) => Err(Failure::Dead),
            Ok(Ok(Err(error))) => Err(Failure::Io(error.to_string())),
            Ok(Ok(Ok(Load::Entry { value, .. }))) => Ok(Some(value)),
            Ok(Ok(Ok(Load::Piece { piece, .. }))) => Ok(Some(piece.value().clone())),
            Ok(Ok(Ok(Load::Miss | Load::Throttled))) => Ok(None),
        }
    }

    /// Writes a batch, waits until it is on the disk and looks whether it is.
    pub(crate) async fn write(&self, batch: &[(Fingerprint, Bytes)]) -> Result<(), Failure> {
        for (key, bytes) in batch {
            let key = DiskKey::from(*key);
            // Should the write get lost, the old value must not come back.
            self.store.storage().delete(&key);
            let _ = self.store.storage_writer(key).force().insert(bytes.clone());
        }
        self.settle().await?;
        let lost = batch
            .iter()
            .filter(|(key, _)| !self.store.storage().may_contains(&DiskKey::from(*key)))
            .count();
        // A few may have been evicted again already.
        if lost > batch.len() / 2 {
            Err(Failure::Lost)
        } else {
            Ok(())
        }
    }

    async fn settle(&self) -> Result<(), Failure> {
        let waiting = AssertUnwindSafe(self.store.storage().wait()).catch_unwind();
        match tokio::time::timeout(self.write_timeout, waiting).await {
            Err(_) => Err(Failure::Hung),
            Ok(Err(_)) => Err(Failure::Dead),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Writes an entry under a name of its own and reads it back.
    pub(crate) async fn prove(&self, seed: u64) -> Result<(), Failure> {
        let key = Fingerprint(*b"the canary that proves the disk!");
        let song = Bytes::from(seed.to_le_bytes().repeat(128));
        self.write(&[(key, song.clone())]).await?;
        let heard = self.read(key).await?;
        self.forget(key);
        if heard.as_ref() == Some(&song) {
            Ok(())
        } else {
            Err(Failure::Lost)
        }
    }

    /// Lets the engine drop `key`. Whether it does is not relied upon.
    pub(crate) fn forget(&self, key: Fingerprint) {
        self.store.storage().delete(&DiskKey::from(key));
    }

    /// Deletes everything.
    pub(crate) async fn destroy(&self) -> Result<(), Failure> {
        let destroying = AssertUnwindSafe(self.store.storage().destroy()).catch_unwind();
        match tokio::time::timeout(self.write_timeout, destroying).await {
            Err(_) => Err(Failure::Hung),
            Ok(Err(_)) => Err(Failure::Dead),
            Ok(Ok(done)) => done.map_err(|error| Failure::Io(error.to_string())),
        }
    }

    /// Does something with the journal on the tier's threads.
    pub(crate) async fn journal<T, F>(&self, operation: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Journal) -> io::Result<T> + Send + 'static,
    {
        let journal = Arc::clone(&self.journal);
        let task = self.spawner.spawn_blocking(move || {
            let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
            operation(&mut journal)
        });
        match tokio::time::timeout(self.write_timeout, task).await {
            Err(_) => Err(Failure::Hung),
            Ok(Err(_)) => Err(Failure::Dead),
            Ok(Ok(done)) => done.map_err(Failure::from),
        }
    }

    /// Ends the engine. Everything that was written before is on the disk if
    /// it succeeds.
    pub(crate) async fn close(&self, limit: Duration) -> Result<(), Failure> {
        let closing = AssertUnwindSafe(self.store.close()).catch_unwind();
        match tokio::time::timeout(limit, closing).await {
            Err(_) => Err(Failure::Hung),
            Ok(Err(_)) => Err(Failure::Dead),
            Ok(Ok(done)) => done.map_err(|error| Failure::Io(error.to_string())),
        }
    }

    /// Bytes that this life of the store has written.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.store.statistics().disk_write_bytes() as u64
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

async fn open_store(
    dir: &Path,
    config: &WarmConfig,
    recover: bool,
    spawner: Spawner,
) -> Result<Store, Failure> {
    // The engine panics on a directory that it cannot create.
    std::fs::create_dir_all(dir)?;
    let engine_error = |error: foyer::Error| Failure::Io(error.to_string());
    let device = FsDeviceBuilder::new(dir)
        .with_capacity(config.bytes)
        .build()
        .map_err(engine_error)?;
    let blocks = BlockEngineConfig::new(device)
        .with_block_size(config.block_bytes())
        .with_buffer_pool_size(config.buffer_bytes())
        .with_submit_queue_size_threshold(config.buffer_bytes() * 2)
        .with_recover_concurrency(4);
    #[cfg(test)]
    let blocks = super::faulty::wrap(blocks, config.faults.clone());
    HybridCacheBuilder::new()
        .with_name("mainstay")
        .with_policy(HybridCachePolicy::WriteOnInsertion)
        .with_flush_on_close(false)
        // Memory is another tier's business.
        .memory(64 << 10)
        .with_shards(1)
        .with_weighter(|_: &DiskKey, value: &Bytes| value.len() + 256)
        .storage()
        // io_uring has a use-after-free on dropped futures.
        .with_io_engine_config(PsyncIoEngineConfig::new())
        .with_engine_config(blocks)
        .with_recover_mode(if recover {
            RecoverMode::Quiet
        } else {
            RecoverMode::None
        })
        .with_spawner(spawner)
        .build()
        .await
        .map_err(engine_error)
}
