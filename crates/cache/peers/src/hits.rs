//! Hits in memory, and what a flight costs.

use std::{
    collections::HashMap,
    convert::Infallible,
    hint::black_box,
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use foyer::{HybridCache, HybridCacheBuilder};
use mainstay_cache::{Cache, Key, Loaded, Options};

use crate::workload::{ENTRIES, VALUE, median, thread_time, uniform, zipf};

const OPERATIONS: usize = 400_000;
const ROOM: usize = 1 << 30;

/// Something that is asked `index` by `index`.
type Ask = Arc<dyn Fn(&[usize]) + Send + Sync>;

struct Row {
    name: &'static str,
    ask: Ask,
}

fn value() -> Bytes {
    Bytes::from(vec![7; VALUE])
}

fn names() -> Arc<Vec<String>> {
    Arc::new(
        (0..ENTRIES)
            .map(|index| format!("key-{index:08}-of-the-benchmark"))
            .collect(),
    )
}

fn row(name: &'static str, ask: impl Fn(&[usize]) + Send + Sync + 'static) -> Row {
    Row {
        name,
        ask: Arc::new(ask),
    }
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
}

/// Runs `future` on this thread; entered once for a whole series.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

fn ours() -> (Cache, Arc<Vec<Key>>, Options) {
    let keys: Arc<Vec<Key>> = Arc::new(
        names()
            .iter()
            .map(|name| Key::new("bench", [name]))
            .collect(),
    );
    let options = Options::ttl(Duration::from_secs(3600));
    // Its background work needs a runtime that lives as long as it.
    let runtime = Box::leak(Box::new(
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime"),
    ));
    let cache = runtime.block_on(async {
        let cache = Cache::builder().hot(ROOM).build().await.expect("a cache");
        for key in keys.iter() {
            cache.put(key, value(), &options).await;
        }
        cache
    });
    (cache, keys, options)
}

fn rows() -> Vec<Row> {
    let names = names();
    let mut rows = Vec::new();

    let map: RwLock<HashMap<String, Bytes>> =
        RwLock::new(names.iter().map(|name| (name.clone(), value())).collect());
    let keys = Arc::clone(&names);
    rows.push(row("RwLock<HashMap>", move |indices| {
        for index in indices {
            black_box(map.read().expect("unpoisoned").get(&keys[*index]).cloned());
        }
    }));

    let quick = quick_cache::sync::Cache::<String, Bytes>::new(ENTRIES * 2);
    names
        .iter()
        .for_each(|name| quick.insert(name.clone(), value()));
    let keys = Arc::clone(&names);
    rows.push(row("quick_cache", move |indices| {
        for index in indices {
            black_box(quick.get(&keys[*index]));
        }
    }));

    let foyer: foyer::Cache<String, Bytes> = foyer::CacheBuilder::new(ROOM)
        .with_shards(8)
        .with_eviction_config(foyer::S3FifoConfig::default())
        .with_weighter(|_, value: &Bytes| value.len())
        .build();
    names
        .iter()
        .for_each(|name| drop(foyer.insert(name.clone(), value())));
    let keys = Arc::clone(&names);
    rows.push(row(
        "foyer memory, s3fifo, `get` (the raw hit)",
        move |indices| {
            for index in indices {
                black_box(foyer.get(&keys[*index]).map(|entry| entry.value().clone()));
            }
        },
    ));

    let (cache, keys, _) = ours();
    rows.push(row("**mainstay `get_hot`**", move |indices| {
        for index in indices {
            black_box(cache.get_hot(&keys[*index]));
        }
    }));

    let (cache, keys, options) = ours();
    rows.push(row("**mainstay `get_or_load`**", move |indices| {
        block_on(async {
            for index in indices {
                let found = cache.get_or_load(&keys[*index], &options, || async {
                    Ok::<_, Infallible>(Loaded::value(value()))
                });
                black_box(found.await.expect("a hit"));
            }
        });
    }));

    let hybrid: HybridCache<String, Bytes> = block_on(async {
        HybridCacheBuilder::new()
            .memory(ROOM)
            .with_eviction_config(foyer::S3FifoConfig::default())
            .with_weighter(|_: &String, value: &Bytes| value.len())
            .storage()
            .build()
            .await
            .expect("a hybrid cache")
    });
    names
        .iter()
        .for_each(|name| drop(hybrid.insert(name.clone(), value())));
    let keys = Arc::clone(&names);
    rows.push(row("foyer hybrid, s3fifo, `get`", move |indices| {
        block_on(async {
            for index in indices {
                let found = hybrid.get(&keys[*index]).await;
                black_box(found.ok().flatten().map(|entry| entry.value().clone()));
            }
        });
    }));

    let moka: moka::sync::Cache<String, Bytes> = moka::sync::Cache::new(ENTRIES as u64 * 2);
    names
        .iter()
        .for_each(|name| moka.insert(name.clone(), value()));
    let keys = Arc::clone(&names);
    rows.push(row("moka sync", move |indices| {
        for index in indices {
            black_box(moka.get(&keys[*index]));
        }
    }));

    let moka: moka::future::Cache<String, Bytes> = moka::future::Cache::new(ENTRIES as u64 * 2);
    block_on(async {
        for name in names.iter() {
            moka.insert(name.clone(), value()).await;
        }
    });
    let keys = Arc::clone(&names);
    rows.push(row("moka future", move |indices| {
        block_on(async {
            for index in indices {
                black_box(moka.get(&keys[*index]).await);
            }
        });
    }));

    let amalgam: amalgam::Cache<Bytes> =
        block_on(async { amalgam::Cache::builder().try_build().expect("a cache") });
    block_on(async {
        for name in names.iter() {
            amalgam.set(name, value()).await.expect("stored");
        }
    });
    let keys = names;
    rows.push(row("amalgam-cache `try_get`", move |indices| {
        block_on(async {
            for index in indices {
                black_box(amalgam.try_get(&keys[*index]).await.expect("readable"));
            }
        });
    }));
    rows
}

/// Nanoseconds of CPU time per operation, with so many threads at once.
fn time(
    ask: &Ask,
    threads: usize,
    workload: fn(u64, usize, usize) -> Vec<usize>,
    seed: u64,
) -> f64 {
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let ask = Arc::clone(ask);
            std::thread::spawn(move || {
                let indices = workload(seed + thread as u64, OPERATIONS, ENTRIES);
                ask(&indices[..OPERATIONS / 8]);
                let start = thread_time();
                ask(&indices);
                (thread_time() - start).as_nanos() as f64 / OPERATIONS as f64
            })
        })
        .collect();
    let times: Vec<f64> = workers
        .into_iter()
        .map(|worker| worker.join().expect("a worker"))
        .collect();
    times.iter().sum::<f64>() / times.len() as f64
}

pub fn run(repetitions: usize) {
    let rows = rows();
    let columns: [(usize, fn(u64, usize, usize) -> Vec<usize>); 4] =
        [(1, uniform), (1, zipf), (2, uniform), (2, zipf)];
    let mut times = vec![vec![Vec::new(); columns.len()]; rows.len()];
    for repetition in 0..repetitions {
        for (index, row) in rows.iter().enumerate() {
            for (column, (threads, workload)) in columns.iter().enumerate() {
                times[index][column].push(time(
                    &row.ask,
                    *threads,
                    *workload,
                    repetition as u64 * 7919,
                ));
            }
        }
    }
    println!("## Hits in memory\n");
    println!(
        "| | 1 thread, uniform | 1 thread, Zipf | 2 threads, uniform | 2 threads, Zipf | × raw foyer (1 thread, u/z) |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let medians: Vec<Vec<f64>> = times
        .into_iter()
        .map(|columns| columns.into_iter().map(median).collect())
        .collect();
    let raw = rows
        .iter()
        .position(|row| row.name.contains("raw hit"))
        .expect("the raw hit");
    for (row, columns) in rows.iter().zip(&medians) {
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} / {:.2} |",
            row.name,
            columns[0],
            columns[1],
            columns[2],
            columns[3],
            columns[0] / medians[raw][0],
            columns[1] / medians[raw][1]
        );
    }
    println!();
}

/// What a miss costs beside its loader, and a stampede.
pub async fn flights() {
    let cache = Cache::builder().hot(ROOM).build().await.expect("a cache");
    let options = Options::ttl(Duration::from_secs(3600));
    let keys: Vec<Key> = (0..200_000_u32)
        .map(|number| Key::new("flights", [number.to_le_bytes()]))
        .collect();
    let bytes = value();
    let mut series = Vec::new();
    for chunk in keys.chunks(20_000) {
        let start = thread_time();
        for key in chunk {
            let bytes = bytes.clone();
            let loaded = cache.get_or_load(key, &options, move || async move {
                Ok::<_, Infallible>(Loaded::Uncacheable { bytes })
            });
            black_box(loaded.await.expect("loaded"));
        }
        series.push((thread_time() - start).as_nanos() as f64 / chunk.len() as f64);
    }
    println!("## Single flight\n");
    println!(
        "- A miss with a loader that does nothing, value not kept: {:.0} ns.",
        median(series)
    );
    let loads = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (cache, options, loads) = (cache.clone(), options.clone(), Arc::clone(&loads));
        tasks.spawn(async move {
            cache
                .get_or_load(
                    &Key::new("flights", ["stampede"]),
                    &options,
                    move || async move {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        loads.fetch_add(1, Ordering::SeqCst);
                        Ok::<_, Infallible>(Loaded::value("one"))
                    },
                )
                .await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a task").expect("a value");
    }
    println!(
        "- A stampede of 1,000 tasks on a load of 20 ms: {} load, {:.1} ms in all.\n",
        loads.load(Ordering::SeqCst),
        start.elapsed().as_secs_f64() * 1000.0
    );
}
