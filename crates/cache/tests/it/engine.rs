//! What the disk engine does by itself. These tests pin its behaviour that
//! this crate works round, so that we notice when a new version changes it.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use foyer::{
    BlockEngineConfig, Device, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, Load, PsyncIoEngineConfig, RecoverMode,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn device(dir: &Path, bytes: usize) -> Arc<dyn Device> {
    FsDeviceBuilder::new(dir)
        .with_capacity(bytes)
        .build()
        .unwrap()
}

async fn open(dir: &Path, policy: HybridCachePolicy) -> HybridCache<u64, Bytes> {
    open_with(dir, policy, 8 * MIB, MIB, |blocks| blocks).await
}

async fn open_with(
    dir: &Path,
    policy: HybridCachePolicy,
    bytes: usize,
    block: usize,
    change: impl FnOnce(Blocks) -> Blocks,
) -> HybridCache<u64, Bytes> {
    HybridCacheBuilder::new()
        .with_policy(policy)
        .with_flush_on_close(false)
        .memory(64 * KIB)
        .with_shards(1)
        .with_weighter(|_, value: &Bytes| value.len())
        .storage()
        .with_io_engine_config(PsyncIoEngineConfig::new())
        .with_engine_config(change(
            BlockEngineConfig::new(device(dir, bytes)).with_block_size(block),
        ))
        .with_recover_mode(RecoverMode::Quiet)
        .build()
        .await
        .unwrap()
}

type Blocks = BlockEngineConfig<u64, Bytes, foyer::HybridCacheProperties>;

#[test]
fn a_directory_that_cannot_be_created_makes_it_panic() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let panicked = std::panic::catch_unwind(|| FsDeviceBuilder::new(file.join("store")).build());
    assert!(panicked.is_err());
}

#[tokio::test]
async fn a_device_smaller_than_a_block_hangs_its_writer_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open_with(
        dir.path(),
        HybridCachePolicy::WriteOnInsertion,
        MIB,
        16 * MIB,
        |blocks| blocks,
    )
    .await;
    cache.insert(1, Bytes::from_static(b"value"));
    let waiting = tokio::time::timeout(Duration::from_millis(500), cache.storage().wait()).await;
    assert!(waiting.is_err());
}

#[tokio::test]
async fn what_is_removed_is_still_read_until_it_was_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), HybridCachePolicy::WriteOnInsertion).await;
    let mut returned = 0;
    for number in 0..200_u64 {
        cache.insert(number, Bytes::from(vec![1; 1000]));
        cache.memory().remove(&number);
        cache.remove(&number);
        let load = cache.storage().load(&number).await.unwrap();
        returned += usize::from(matches!(load, Load::Piece { .. } | Load::Entry { .. }));
    }
    assert!(returned > 100, "only {returned} of 200");
}

#[tokio::test]
async fn what_was_removed_returns_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), HybridCachePolicy::WriteOnInsertion).await;
    for number in 0..100_u64 {
        cache.insert(number, Bytes::from_static(b"value"));
    }
    cache.storage().wait().await;
    for number in 0..100_u64 {
        cache.remove(&number);
    }
    cache.storage().wait().await;
    cache.close().await.unwrap();
    drop(cache);
    let cache = open(dir.path(), HybridCachePolicy::WriteOnInsertion).await;
    let mut returned = 0;
    for number in 0..100_u64 {
        returned += usize::from(matches!(
            cache.storage().load(&number).await.unwrap(),
            Load::Entry { .. }
        ));
    }
    assert_eq!(returned, 100);
}

#[tokio::test]
async fn the_tail_of_a_burst_is_dropped_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open_with(
        dir.path(),
        HybridCachePolicy::WriteOnInsertion,
        32 * MIB,
        MIB,
        |blocks| {
            blocks
                .with_buffer_pool_size(MIB)
                .with_submit_queue_size_threshold(MIB)
        },
    )
    .await;
    for number in 0..2000_u64 {
        cache.insert(number, Bytes::from(vec![1; 8000]));
    }
    cache.storage().wait().await;
    let kept = (0..2000_u64)
        .filter(|number| cache.storage().may_contains(number))
        .count();
    assert!(kept < 2000, "all {kept} were kept");
}

/// The next two run with writes that fail; see `faults` for how.
#[tokio::test]
async fn failed_writes_are_not_reported_and_uncover_the_old_value() {
    const NAME: &str = "engine::failed_writes_are_not_reported_and_uncover_the_old_value";
    if !crate::faults::is_child(NAME) {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            crate::faults::child(NAME, dir.path())
                .status()
                .unwrap()
                .success()
        );
        return;
    }
    let dir = std::path::PathBuf::from(std::env::var_os("MAINSTAY_CACHE_TEST_DIR").unwrap());
    let cache = open(&dir, HybridCachePolicy::WriteOnInsertion).await;
    for number in 0..50_u64 {
        cache.insert(number, Bytes::from_static(b"old"));
    }
    cache.storage().wait().await;
    crate::faults::writes_fail(true);
    for number in 0..50_u64 {
        cache.insert(number, Bytes::from_static(b"new"));
    }
    // It says nothing, and returns at once.
    tokio::time::timeout(Duration::from_secs(10), cache.storage().wait())
        .await
        .unwrap();
    cache.memory().clear();
    let mut stale = 0;
    for number in 0..50_u64 {
        if let Some((_, value, _)) = cache.storage().load(&number).await.unwrap().entry() {
            stale += usize::from(&value[..] == b"old");
        }
    }
    assert_eq!(stale, 50, "every read gives the value before the update");
    std::process::exit(0);
}
