//! How many hits each makes of the same memory.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use mainstay_cache::{Cache, Key, Loaded, Options};

use crate::workload::{VALUE, zipf};

const ENTRIES: usize = 200_000;
const REQUESTS: usize = 1_000_000;
/// Entries that fit.
const ROOM: usize = 20_000;

fn value() -> Bytes {
    Bytes::from(vec![7; VALUE])
}

pub async fn run() {
    let trace = zipf(42, REQUESTS, ENTRIES);
    let mut rows: Vec<(&str, f64)> = Vec::new();

    let quick = quick_cache::sync::Cache::<usize, Bytes>::new(ROOM);
    let hits = trace.iter().filter(|index| {
        let hit = quick.get(*index).is_some();
        if !hit {
            quick.insert(**index, value());
        }
        hit
    });
    rows.push(("quick_cache", hits.count() as f64));

    let moka: moka::sync::Cache<usize, Bytes> = moka::sync::Cache::new(ROOM as u64);
    let hits = trace.iter().filter(|index| {
        let hit = moka.get(*index).is_some();
        if !hit {
            moka.insert(**index, value());
        }
        hit
    });
    rows.push(("moka (TinyLFU)", hits.count() as f64));

    let foyer: foyer::Cache<usize, Bytes> = foyer::CacheBuilder::new(ROOM)
        .with_shards(8)
        .with_eviction_config(foyer::S3FifoConfig::default())
        .build();
    let hits = trace.iter().filter(|index| {
        let hit = foyer.get(*index).is_some();
        if !hit {
            foyer.insert(**index, value());
        }
        hit
    });
    rows.push(("foyer s3fifo", hits.count() as f64));

    // The same number of entries, by their weight in bytes.
    let probe = Cache::builder()
        .hot(64 << 20)
        .build()
        .await
        .expect("a cache");
    let options = Options::ttl(Duration::from_secs(36_000)).jitter(0.0);
    probe
        .put(&Key::new("ratio", ["probe"]), value(), &options)
        .await;
    let weight = probe.stats().hot.bytes as usize;
    let cache = Cache::builder()
        .hot(ROOM * weight)
        .build()
        .await
        .expect("a cache");
    let keys: Vec<Key> = (0..ENTRIES)
        .map(|index| Key::new("ratio", [index.to_le_bytes()]))
        .collect();
    for index in &trace {
        let found = cache.get_or_load(&keys[*index], &options, || async {
            Ok::<_, Infallible>(Loaded::value(value()))
        });
        found.await.expect("loaded");
    }
    rows.push(("**mainstay**", cache.stats().hits as f64));

    println!("## Hit ratio\n");
    println!("{REQUESTS} requests, Zipf 0.99 over {ENTRIES} entries, room for {ROOM}.\n");
    println!("| | hits |\n| --- | ---: |");
    for (name, hits) in rows {
        println!("| {name} | {:.2} % |", hits * 100.0 / REQUESTS as f64);
    }
    println!("\nAn entry of {VALUE} bytes weighs {weight} bytes in our accounts.");
}
