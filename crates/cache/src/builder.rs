//! Describing a cache.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    time::Duration,
};

use mainstay_resilience::{SharedClock, system_clock};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Cache, ConfigError, EncryptionKey, Observer, WarmConfig,
    cache::{Counts, Inner},
    counters::HitWindow,
    envelope::Sealer,
    flight::Flights,
    hot::Hot,
    observer::Watch,
    shared_tier::Shared,
    stamps::Stamps,
    warm::{self, Warm},
};

/// Loads in the background that may run at once.
const BACKGROUND_LOADS: usize = 256;

/// Settings that come from a file. The rest is given to the [`Builder`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes of memory, counted with the overhead of entries. Default: 100
    /// MiB; at least 64 KiB.
    pub hot_bytes: usize,
    /// Bytes of memory that one namespace may take. Default: all.
    pub namespace_bytes: Option<usize>,
    /// The disk tier. Default: none.
    pub warm: Option<WarmConfig>,
    /// Values of this many bytes or more are compressed on the disk and in the
    /// shared tier where that makes them smaller. Default: 1 KiB; `None` never
    /// compresses.
    pub compress_above: Option<usize>,
    /// The longest that a load waits for another process that is loading the
    /// same key. Default: 5 s.
    #[serde(rename = "lease_wait_ms", deserialize_with = "millis")]
    pub lease_wait: Duration,
    /// The window of the hit rate. Default: 5 min.
    #[serde(rename = "hit_window_ms", deserialize_with = "millis")]
    pub hit_window: Duration,
}

fn millis<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hot_bytes: 100 << 20,
            namespace_bytes: None,
            warm: None,
            compress_above: Some(1024),
            lease_wait: Duration::from_secs(5),
            hit_window: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// Checks every setting without touching anything.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.hot_bytes < 64 << 10 {
            return Err(ConfigError::new("hot_bytes", "must be at least 64 KiB"));
        }
        if self.namespace_bytes.is_some_and(|bytes| bytes < 4 << 10) {
            return Err(ConfigError::new(
                "namespace_bytes",
                "must be at least 4 KiB",
            ));
        }
        if self.lease_wait.is_zero() {
            return Err(ConfigError::new("lease_wait_ms", "must be at least 1"));
        }
        if self.hit_window < Duration::from_secs(1) {
            return Err(ConfigError::new("hit_window_ms", "must be at least 1,000"));
        }
        self.warm.as_ref().map_or(Ok(()), WarmConfig::validate)
    }
}

/// Describes a [`Cache`].
#[derive(Debug)]
#[must_use = "nothing happens before build"]
pub struct Builder {
    name: String,
    config: Config,
    #[cfg(feature = "redis")]
    shared: Option<(mainstay_redis::Redis, String)>,
    encryption: Option<EncryptionKey>,
    clock: Option<SharedClock>,
    observer: Watch,
    seed: Option<u64>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            name: "cache".to_owned(),
            config: Config::default(),
            #[cfg(feature = "redis")]
            shared: None,
            encryption: None,
            clock: None,
            observer: Watch::default(),
            seed: None,
        }
    }

    /// The name in logs. Default: `cache`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Takes all settings from `config`.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Bytes of memory. Default: 100 MiB.
    pub fn hot(mut self, bytes: usize) -> Self {
        self.config.hot_bytes = bytes;
        self
    }

    /// Bytes of memory that one namespace may take. When it has them, its own
    /// oldest entries make room for its new ones.
    pub fn namespace_quota(mut self, bytes: usize) -> Self {
        self.config.namespace_bytes = Some(bytes);
        self
    }

    /// Adds the disk tier.
    pub fn warm(mut self, config: WarmConfig) -> Self {
        self.config.warm = Some(config);
        self
    }

    /// Adds the tier that instances share. Instances share what has the same
    /// `prefix`, and need the same encryption key.
    #[cfg(feature = "redis")]
    pub fn shared(mut self, redis: mainstay_redis::Redis, prefix: impl Into<String>) -> Self {
        self.shared = Some((redis, prefix.into()));
        self
    }

    /// Encrypts what leaves memory, and hides what the keys were.
    pub fn encryption(mut self, key: EncryptionKey) -> Self {
        self.encryption = Some(key);
        self
    }

    /// The clock. Default: the system's.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Who hears what happens.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// Makes jitter and eager refreshes repeatable. Default: random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the cache and opens its disk tier, which takes no longer than
    /// its limits. A disk or a server that does not work is not an error: the
    /// tier begins as out of use and heals by itself.
    ///
    /// Must be called within a tokio runtime with time and IO enabled, on which
    /// the background work then runs.
    ///
    /// # Errors
    /// A setting makes no sense.
    pub async fn build(self) -> Result<Cache, ConfigError> {
        self.config.validate()?;
        let sealer = match &self.encryption {
            Some(key) => Some(Arc::new(Sealer::new(key).ok_or_else(|| {
                ConfigError::new("encryption", "the cryptography refused the key")
            })?)),
            None => None,
        };
        let seed = match self.seed {
            Some(seed) => seed,
            None => random()
                .ok_or_else(|| ConfigError::new("seed", "the system has no random bytes"))?,
        };
        let clock = self.clock.unwrap_or_else(system_clock);
        let (stamps, tasks) = (Arc::new(Stamps::new()), TaskTracker::new());
        let warm = self.config.warm.as_ref().map(|config| {
            Warm::new(warm::Parts {
                config: config.clone(),
                sealer: sealer.clone(),
                compress_above: self.config.compress_above,
                clock: clock.clone(),
                stamps: Arc::clone(&stamps),
                watch: self.observer.clone(),
                tasks: tasks.clone(),
            })
        });
        #[cfg(feature = "redis")]
        let shared = match self.shared {
            Some((redis, prefix)) => Some(Arc::new(Shared::new(crate::shared_tier::Parts {
                redis,
                prefix: valid_prefix(prefix)?,
                sealer: sealer.clone(),
                compress_above: self.config.compress_above,
                clock: clock.clone(),
                watch: self.observer.clone(),
                // Two instances must never take each other's news for their
                // own, whatever seed they were given.
                origin: random()
                    .ok_or_else(|| ConfigError::new("seed", "the system has no random bytes"))?,
            }))),
            None => None,
        };
        #[cfg(not(feature = "redis"))]
        let shared: Option<Arc<Shared>> = None;
        let inner = Arc::new(Inner {
            name: self.name,
            stamps,
            hot: Hot::new(
                self.config.hot_bytes,
                self.config.namespace_bytes,
                self.observer.clone(),
            ),
            earlier: AtomicBool::new(warm.is_some()),
            warm,
            shared,
            flights: Arc::new(Flights::new()),
            watch: self.observer,
            tasks,
            stop: CancellationToken::new(),
            background: Arc::new(Semaphore::new(BACKGROUND_LOADS)),
            lease_wait: self.config.lease_wait,
            window: HitWindow::new(self.config.hit_window),
            counts: Counts::default(),
            grown: AtomicUsize::new(1),
            random: AtomicU64::new(seed),
            position: Mutex::new(None),
            clock,
        });
        if let Some(warm) = &inner.warm {
            warm.open_if_due().await;
        }
        start(&inner);
        Ok(Cache { inner })
    }
}

/// Starts the background work. It holds the cache weakly, so that dropping the
/// last handle ends it.
fn start(inner: &Arc<Inner>) {
    let (upkeep, stop) = (Arc::downgrade(inner), inner.stop.clone());
    inner
        .tasks
        .spawn(stop.run_until_cancelled_owned(crate::maintain::run(upkeep)));
    #[cfg(feature = "redis")]
    if let Some(shared) = &inner.shared {
        let (cache, stop) = (Arc::downgrade(inner), inner.stop.clone());
        let following = crate::shared_tier::follow_backplane(cache, Arc::clone(shared));
        inner.tasks.spawn(stop.run_until_cancelled_owned(following));
    }
}

#[cfg(feature = "redis")]
fn valid_prefix(prefix: String) -> Result<String, ConfigError> {
    // Braces would change which slot of a cluster a key belongs to.
    if prefix.is_empty() || prefix.contains(['{', '}']) {
        return Err(ConfigError::new(
            "shared prefix",
            "must not be empty or contain braces",
        ));
    }
    Ok(prefix)
}

fn random() -> Option<u64> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}
