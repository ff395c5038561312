//! Hits on the disk, beside the raw engine.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, PsyncIoEngineConfig,
};
use mainstay_cache::{Cache, EncryptionKey, Key, Options, WarmConfig};

use crate::workload::{VALUE, median, uniform};

const ENTRIES: usize = 20_000;
const READS: usize = 20_000;

fn value() -> Bytes {
    Bytes::from(
        (0..VALUE)
            .map(|index| (index * 31 % 251) as u8)
            .collect::<Vec<u8>>(),
    )
}

async fn cache(dir: &std::path::Path, key: Option<EncryptionKey>) -> (Cache, Vec<Key>) {
    // As little memory as may be, so that nearly every read goes to the disk.
    let mut builder = Cache::builder()
        .hot(64 << 10)
        .warm(WarmConfig::new(dir).bytes(500 << 20));
    if let Some(key) = key {
        builder = builder.encryption(key);
    }
    let cache = builder.build().await.expect("a cache");
    let options = Options::ttl(Duration::from_secs(3600));
    let keys: Vec<Key> = (0..ENTRIES)
        .map(|number| Key::new("warm", [number.to_le_bytes()]))
        .collect();
    for (index, key) in keys.iter().enumerate() {
        cache.put(key, value(), &options).await;
        if index % 1000 == 999 {
            while cache.stats().warm.expect("a disk tier").writes < index as u64 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    (cache, keys)
}

pub async fn run() {
    let raw_dir = tempfile::tempdir().expect("a directory");
    let device = FsDeviceBuilder::new(raw_dir.path())
        .with_capacity(500 << 20)
        .build()
        .expect("a device");
    let raw_store: HybridCache<u64, Bytes> = HybridCacheBuilder::new()
        .with_policy(HybridCachePolicy::WriteOnInsertion)
        .memory(64 << 10)
        .with_weighter(|_, value: &Bytes| value.len())
        .storage()
        .with_io_engine_config(PsyncIoEngineConfig::new())
        .with_engine_config(BlockEngineConfig::new(device))
        .build()
        .await
        .expect("a store");
    for number in 0..ENTRIES as u64 {
        raw_store.insert(number, value());
        if number % 1000 == 999 {
            raw_store.storage().wait().await;
        }
    }
    let plain_dir = tempfile::tempdir().expect("a directory");
    let (plain, plain_keys) = cache(plain_dir.path(), None).await;
    let sealed_dir = tempfile::tempdir().expect("a directory");
    let (sealed, sealed_keys) = cache(sealed_dir.path(), Some(EncryptionKey::new([7; 32]))).await;

    let indices = uniform(1, READS, ENTRIES);
    let mut times: [Vec<f64>; 3] = Default::default();
    for index in indices {
        let start = Instant::now();
        black_box(
            raw_store
                .storage()
                .load(&(index as u64))
                .await
                .expect("readable")
                .entry(),
        );
        times[0].push(start.elapsed().as_nanos() as f64);
        let start = Instant::now();
        black_box(plain.get(&plain_keys[index]).await);
        times[1].push(start.elapsed().as_nanos() as f64);
        let start = Instant::now();
        black_box(sealed.get(&sealed_keys[index]).await);
        times[2].push(start.elapsed().as_nanos() as f64);
    }
    println!("## Hits on the disk\n");
    println!(
        "{READS} reads of {ENTRIES} entries in the page cache, one at a time, interleaved; median.\n"
    );
    println!("| | µs | × raw |\n| --- | ---: | ---: |");
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    for (name, time) in [
        "foyer storage `load` (raw)",
        "**mainstay**",
        "**mainstay, encrypted**",
    ]
    .iter()
    .zip(&medians)
    {
        println!(
            "| {name} | {:.1} | {:.2} |",
            time / 1000.0,
            time / medians[0]
        );
    }
    let stats = plain.stats().warm.expect("a disk tier");
    println!(
        "\nOf our reads {} were hits on the disk, {} missed.\n",
        stats.hits, stats.misses
    );
    plain.shutdown(Duration::from_secs(10)).await;
    sealed.shutdown(Duration::from_secs(10)).await;
}
