//! A disk engine that fails on demand, for tests: the faults that cannot be
//! had from a real disk without being root.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use bytes::Bytes;
use foyer::{
    BlockEngineConfig, Device, Engine, EngineBuildContext, EngineConfig, HybridCacheProperties,
    Load, PieceRef, StorageFilterResult,
};
use futures_util::{FutureExt, future::BoxFuture};

use super::engine::DiskKey;

/// What goes wrong from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    None = 0,
    /// Reads fail.
    ReadError,
    /// Reads never end.
    ReadHang,
    /// Reads panic.
    ReadPanic,
    /// Writes are lost without a word, as the engine loses them.
    LoseWrites,
    /// Waiting for writes never ends.
    WriteHang,
    /// Waiting for writes panics, as in an engine that was poisoned.
    WritePanic,
    /// The engine does not open.
    OpenError,
    /// Opening the engine panics.
    OpenPanic,
    /// Opening the engine never ends.
    OpenHang,
}

impl Fault {
    pub(crate) const ALL: [Self; 10] = [
        Self::None,
        Self::ReadError,
        Self::ReadHang,
        Self::ReadPanic,
        Self::LoseWrites,
        Self::WriteHang,
        Self::WritePanic,
        Self::OpenError,
        Self::OpenPanic,
        Self::OpenHang,
    ];
}

/// A switch that the engine and the test share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<AtomicU8>);

impl Faults {
    pub(crate) fn set(&self, fault: Fault) {
        self.0.store(fault as u8, Ordering::SeqCst);
    }

    fn is(&self, fault: Fault) -> bool {
        self.0.load(Ordering::SeqCst) == fault as u8
    }
}

type Inner = dyn EngineConfig<DiskKey, Bytes, HybridCacheProperties>;
type Opened = Arc<dyn Engine<DiskKey, Bytes, HybridCacheProperties>>;

pub(crate) fn wrap(
    inner: BlockEngineConfig<DiskKey, Bytes, HybridCacheProperties>,
    faults: Faults,
) -> Box<Inner> {
    Box::new(FaultyConfig {
        inner: Box::new(inner),
        faults,
    })
}

#[derive(Debug)]
struct FaultyConfig {
    inner: Box<Inner>,
    faults: Faults,
}

impl EngineConfig<DiskKey, Bytes, HybridCacheProperties> for FaultyConfig {
    fn build(
        self: Box<Self>,
        ctx: EngineBuildContext,
    ) -> BoxFuture<'static, foyer::Result<Opened>> {
        async move {
            if self.faults.is(Fault::OpenError) {
                return Err(injected());
            }
            assert!(!self.faults.is(Fault::OpenPanic), "an injected panic");
            if self.faults.is(Fault::OpenHang) {
                std::future::pending::<()>().await;
            }
            let inner = self.inner.build(ctx).await?;
            let engine: Opened = Arc::new(Faulty {
                inner,
                faults: self.faults,
            });
            Ok(engine)
        }
        .boxed()
    }
}

#[derive(Debug)]
struct Faulty {
    inner: Opened,
    faults: Faults,
}

fn injected() -> foyer::Error {
    foyer::Error::io_error(std::io::Error::other("an injected error"))
}

impl Engine<DiskKey, Bytes, HybridCacheProperties> for Faulty {
    fn device(&self) -> &Arc<dyn Device> {
        self.inner.device()
    }

    fn filter(&self, hash: u64, estimated_size: usize) -> StorageFilterResult {
        self.inner.filter(hash, estimated_size)
    }

    fn enqueue(
        &self,
        piece: PieceRef<DiskKey, Bytes, HybridCacheProperties>,
        estimated_size: usize,
    ) {
        if !self.faults.is(Fault::LoseWrites) {
            self.inner.enqueue(piece, estimated_size);
        }
    }

    fn load(
        &self,
        hash: u64,
    ) -> BoxFuture<'static, foyer::Result<Load<DiskKey, Bytes, HybridCacheProperties>>> {
        if self.faults.is(Fault::ReadError) {
            return async { Err(injected()) }.boxed();
        }
        if self.faults.is(Fault::ReadHang) {
            return std::future::pending().boxed();
        }
        if self.faults.is(Fault::ReadPanic) {
            return async { panic!("an injected panic") }.boxed();
        }
        self.inner.load(hash)
    }

    fn delete(&self, hash: u64) {
        self.inner.delete(hash);
    }

    fn may_contains(&self, hash: u64) -> bool {
        self.inner.may_contains(hash)
    }

    fn destroy(&self) -> BoxFuture<'static, foyer::Result<()>> {
        self.inner.destroy()
    }

    fn wait(&self) -> BoxFuture<'static, ()> {
        if self.faults.is(Fault::WriteHang) {
            return std::future::pending().boxed();
        }
        if self.faults.is(Fault::WritePanic) {
            return async { panic!("an injected panic") }.boxed();
        }
        self.inner.wait()
    }

    fn close(&self) -> BoxFuture<'static, foyer::Result<()>> {
        self.inner.close()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mainstay_resilience::ManualClock;

    use super::*;
    use crate::{Cache, Key, Options, Source, WarmConfig};

    fn key(number: u32) -> Key {
        Key::new("test", [number.to_le_bytes()])
    }

    fn state(cache: &Cache) -> &'static str {
        cache.stats().warm.unwrap().state
    }

    struct Bench {
        cache: Cache,
        clock: ManualClock,
        faults: Faults,
        _dir: tempfile::TempDir,
    }

    async fn bench() -> Bench {
        let (dir, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
        clock.set_unix_time(Duration::from_secs(1_800_000_000));
        let mut config = WarmConfig::new(dir.path()).bytes(4 << 20);
        config.read_timeout = Duration::from_millis(100);
        config.write_timeout = Duration::from_millis(300);
        config.open_timeout = Duration::from_millis(2000);
        let faults = config.faults.clone();
        let cache = Cache::builder()
            .clock(clock.shared())
            .hot(1 << 20)
            .warm(config)
            .build()
            .await
            .unwrap();
        assert_eq!(state(&cache), "up");
        Bench {
            cache,
            clock,
            faults,
            _dir: dir,
        }
    }

    impl Bench {
        async fn put(&self, number: u32, value: &str) {
            let options = Options::ttl(Duration::from_secs(3600));
            let _ = self
                .cache
                .put(&key(number), value.to_owned(), &options)
                .await;
        }

        async fn written(&self, entries: u64) {
            while self.cache.stats().warm.unwrap().writes < entries {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }

        /// Reads from below the memory.
        async fn read(&self, number: u32) -> Option<crate::Cached> {
            let _ = self.cache.clear(Some(crate::Tier::Hot)).await;
            self.cache.get(&key(number)).await
        }

        async fn recovers(&self) {
            self.faults.set(Fault::None);
            // What was taken out of use may still be closing.
            for _ in 0..1000 {
                self.clock.advance(Duration::from_secs(60));
                self.cache.maintain().await;
                if state(&self.cache) == "up" {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("it stays {}", state(&self.cache));
        }
    }

    #[tokio::test]
    async fn failing_reads_are_misses_and_trip_after_five() {
        for fault in [Fault::ReadError, Fault::ReadHang] {
            let bench = bench().await;
            bench.put(1, "one").await;
            bench.written(1).await;
            bench.faults.set(fault);
            for attempt in 1..=5 {
                assert_eq!(state(&bench.cache), "up", "attempt {attempt}");
                assert!(bench.read(1).await.is_none());
            }
            assert_eq!(state(&bench.cache), "tripped", "{fault:?}");
            bench.put(2, "two").await;
            assert!(bench.cache.get_hot(&key(2)).is_some(), "memory goes on");
            bench.recovers().await;
            bench.put(3, "three").await;
            assert_eq!(bench.read(3).await.unwrap().source, Source::Warm);
        }
    }

    #[tokio::test]
    async fn an_engine_that_panics_is_replaced_at_once_and_its_entries_are_kept() {
        let bench = bench().await;
        bench.put(1, "one").await;
        bench.written(1).await;
        bench.faults.set(Fault::ReadPanic);
        assert!(bench.read(1).await.is_none());
        assert_eq!(state(&bench.cache), "tripped");
        bench.recovers().await;
        assert_eq!(&bench.read(1).await.unwrap().value[..], b"one");
    }

    #[tokio::test]
    async fn lost_writes_are_noticed_and_never_uncover_the_old_value() {
        let bench = bench().await;
        bench.put(1, "old").await;
        bench.written(1).await;
        bench.faults.set(Fault::LoseWrites);
        bench.put(1, "new").await;
        while state(&bench.cache) == "up" {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(bench.read(1).await.is_none());
        bench.recovers().await;
        assert!(
            bench.read(1).await.is_none(),
            "the old value is on the disk, and stays there"
        );
        bench.put(2, "two").await;
        bench.written(2).await;
        assert!(bench.read(2).await.is_some());
    }

    #[tokio::test]
    async fn writes_that_hang_or_panic_take_the_engine_out() {
        for fault in [Fault::WriteHang, Fault::WritePanic] {
            let bench = bench().await;
            bench.faults.set(fault);
            bench.put(1, "one").await;
            while state(&bench.cache) == "up" {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            bench.recovers().await;
            bench.put(2, "two").await;
            bench.written(1).await;
            assert_eq!(&bench.read(2).await.unwrap().value[..], b"two");
        }
    }

    #[tokio::test]
    async fn a_store_that_does_not_open_is_tried_again_until_it_does() {
        for fault in [Fault::OpenError, Fault::OpenPanic, Fault::OpenHang] {
            let bench = bench().await;
            bench.faults.set(Fault::ReadPanic);
            bench.put(1, "one").await;
            bench.written(1).await;
            bench.read(1).await;
            assert_eq!(state(&bench.cache), "tripped");
            bench.faults.set(fault);
            for _ in 0..2 {
                bench.clock.advance(Duration::from_secs(60));
                bench.cache.maintain().await;
                assert_eq!(state(&bench.cache), "tripped", "{fault:?}");
            }
            bench.recovers().await;
        }
    }

    #[tokio::test]
    async fn an_idle_tier_proves_itself_and_is_taken_out_when_it_cannot() {
        let bench = bench().await;
        bench.faults.set(Fault::LoseWrites);
        bench.cache.maintain().await;
        assert_eq!(state(&bench.cache), "up", "it proved itself a moment ago");
        bench.clock.advance(Duration::from_secs(60));
        bench.cache.maintain().await;
        assert_eq!(state(&bench.cache), "tripped");
    }

    #[tokio::test]
    async fn an_invalidation_while_the_disk_is_away_holds_when_it_is_back() {
        let bench = bench().await;
        bench.put(1, "one").await;
        bench.put(2, "two").await;
        bench.written(2).await;
        bench.faults.set(Fault::ReadPanic);
        bench.read(1).await;
        assert_eq!(state(&bench.cache), "tripped");
        let _ = bench.cache.invalidate(&[key(1)]).await;
        bench.recovers().await;
        assert!(bench.read(1).await.is_none());
        assert!(bench.read(2).await.is_some());
    }
}
