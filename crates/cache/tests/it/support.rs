//! Caches and loaders for tests.

use std::{
    convert::Infallible,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_cache::{Builder, Cache, Key, LoadError, Loaded, Options, WarmConfig};
use mainstay_resilience::ManualClock;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn key(name: &str) -> Key {
    Key::new("test", [name])
}

/// Options without jitter, so that tests know the moment.
pub(crate) fn options() -> Options {
    Options::ttl(Duration::from_secs(60)).jitter(0.0)
}

/// A clock that begins well after the epoch, as real ones do.
pub(crate) fn clock() -> ManualClock {
    let clock = ManualClock::new();
    clock.set_unix_time(Duration::from_secs(1_800_000_000));
    clock.set(Duration::from_secs(1_000_000));
    clock
}

pub(crate) fn builder(clock: &ManualClock) -> Builder {
    Cache::builder().clock(clock.shared()).hot(4 << 20).seed(7)
}

pub(crate) async fn memory(clock: &ManualClock) -> Cache {
    builder(clock).build().await.unwrap()
}

/// A small disk tier with limits that a busy test machine keeps.
pub(crate) fn warm(dir: &Path) -> WarmConfig {
    let mut config = WarmConfig::new(dir).bytes(8 << 20);
    config.read_timeout = Duration::from_secs(5);
    config
}

/// Counts how often it was asked and answers with the count.
#[derive(Clone, Default)]
pub(crate) struct Source {
    loads: Arc<AtomicUsize>,
}

impl Source {
    pub(crate) fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    pub(crate) async fn get(
        &self,
        cache: &Cache,
        key: &Key,
        options: &Options,
    ) -> mainstay_cache::Cached {
        let result: Result<_, LoadError<Infallible>> = {
            let loads = Arc::clone(&self.loads);
            cache
                .get_or_load(key, options, move || async move {
                    let number = loads.fetch_add(1, Ordering::SeqCst) + 1;
                    Ok(Loaded::value(format!("value {number}")))
                })
                .await
        };
        result.unwrap()
    }
}

/// Waits until `condition` holds, without guessing how long that takes.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
