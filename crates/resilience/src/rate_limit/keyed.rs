//! A rate limit for each key, in bounded memory.

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Cell, Meter, Quota, RateLimitState, refuse};
use crate::{
    ConfigError, Name, Rejected, SharedClock, clock,
    error::check,
    observer::{SharedObserver, Watch},
    sync::Settings,
};

/// Locks that the keys are spread over.
const SHARDS: usize = 16;

/// A rate limit for each key: addresses, accounts, keys of an API.
///
/// It remembers a bounded number of keys. A key whose quota is whole again is
/// forgotten first, which loses nothing. When all of them are in use, those
/// with the most quota left are forgotten, an eighth of a shard at a time; a
/// flood of fresh keys can therefore refresh the quota of a light user but not
/// that of a heavy one before everybody else's.
///
/// ```
/// use std::time::Duration;
/// use mainstay_resilience::{KeyedRateLimiter, Quota};
///
/// # fn main() -> Result<(), mainstay_resilience::ConfigError> {
/// let logins = KeyedRateLimiter::new("login", Quota::per(Duration::from_secs(900), 5))?;
/// for _ in 0..5 {
///     assert!(logins.check(&"ann").is_ok());
/// }
/// assert!(logins.check(&"ann").is_err());
/// assert!(logins.check(&"bob").is_ok());
/// # Ok(())
/// # }
/// ```
pub struct KeyedRateLimiter<K> {
    inner: Arc<Inner<K>>,
}

struct Inner<K> {
    shards: Box<[Mutex<HashMap<K, Entry>>]>,
    keys_per_shard: usize,
    hasher: RandomState,
    meter: Settings<4>,
    quota: Mutex<Quota>,
    clock: SharedClock,
    observer: Watch,
    name: Name,
}

struct Entry {
    cell: Cell,
    /// Nanoseconds of a burst of the quota that it was last checked with.
    capacity: u64,
}

impl Entry {
    fn used(&self, now: Duration) -> u64 {
        self.cell.used(self.capacity, now)
    }
}

/// Describes a [`KeyedRateLimiter`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build"]
pub struct KeyedRateLimiterBuilder {
    name: Name,
    quota: Quota,
    max_keys: usize,
    clock: Option<SharedClock>,
    observer: Watch,
}

impl KeyedRateLimiterBuilder {
    /// Remembers at most so many keys, rounded up to a multiple of 16.
    /// Default: 100,000.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Reads the time from `clock`.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Tells `observer` of refusals.
    pub fn observer(mut self, observer: SharedObserver) -> Self {
        self.observer = Watch(Some(observer));
        self
    }

    /// The limiter.
    ///
    /// # Errors
    /// When the quota makes no sense or no key may be remembered.
    pub fn build<K>(self) -> Result<KeyedRateLimiter<K>, ConfigError> {
        self.quota.validate()?;
        check::at_least_one("max_keys", self.max_keys as u64)?;
        Ok(KeyedRateLimiter {
            inner: Arc::new(Inner {
                shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
                keys_per_shard: self.max_keys.div_ceil(SHARDS),
                hasher: RandomState::new(),
                meter: Settings::new(Meter::of(&self.quota).pack()),
                quota: Mutex::new(self.quota),
                clock: self.clock.unwrap_or_else(clock::default_clock),
                observer: self.observer,
                name: self.name,
            }),
        })
    }
}

impl KeyedRateLimiter<()> {
    /// Starts to describe a limiter with `quota` for each key.
    pub fn builder(name: impl Into<Name>, quota: Quota) -> KeyedRateLimiterBuilder {
        KeyedRateLimiterBuilder {
            name: name.into(),
            quota,
            max_keys: 100_000,
            clock: None,
            observer: Watch::default(),
        }
    }
}

impl<K> KeyedRateLimiter<K> {
    /// A limiter with `quota` for each of at most 100,000 keys.
    ///
    /// # Errors
    /// When the quota makes no sense.
    pub fn new(name: impl Into<Name>, quota: Quota) -> Result<Self, ConfigError> {
        KeyedRateLimiter::builder(name, quota).build()
    }

    /// The name that errors and events carry.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The quota of each key.
    pub fn quota(&self) -> Quota {
        *self
            .inner
            .quota
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the quota of each key; what was used stays used.
    ///
    /// # Errors
    /// When the quota makes no sense; the old one stays then.
    pub fn reconfigure(&self, quota: Quota) -> Result<(), ConfigError> {
        quota.validate()?;
        let mut current = self
            .inner
            .quota
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.inner.meter.store(Meter::of(&quota).pack());
        *current = quota;
        Ok(())
    }

    /// Keys that are remembered.
    pub fn len(&self) -> usize {
        self.inner
            .shards
            .iter()
            .map(|shard| open(shard).len())
            .sum()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Hash + Eq + Clone> KeyedRateLimiter<K> {
    /// Takes one call out of the quota of `key`.
    ///
    /// # Errors
    /// The refusal, with the time until the next call is allowed.
    pub fn check(&self, key: &K) -> Result<RateLimitState, Rejected> {
        self.check_meter(key, &Meter::unpack(self.inner.meter.load()))
    }

    /// The same with a quota of the key's own, for keys that are allowed
    /// different things. A key keeps what it has used when its quota changes.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_quota(&self, key: &K, quota: &Quota) -> Result<RateLimitState, Rejected> {
        self.check_meter(key, &Meter::of(quota))
    }

    fn check_meter(&self, key: &K, meter: &Meter) -> Result<RateLimitState, Rejected> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let shard = inner.hasher.hash_one(key) as usize % SHARDS;
        let Some(shard) = inner.shards.get(shard) else {
            // There is a shard for every remainder.
            return Err(refuse(&inner.name, &inner.observer, Duration::ZERO));
        };
        let answer = {
            let mut keys = open(shard);
            if let Some(entry) = keys.get_mut(key) {
                entry.capacity = meter.capacity;
                entry.cell.check(meter, now)
            } else {
                make_room(&mut keys, inner.keys_per_shard, now);
                let entry = Entry {
                    cell: Cell::new(),
                    capacity: meter.capacity,
                };
                let answer = entry.cell.check(meter, now);
                keys.insert(key.clone(), entry);
                answer
            }
        };
        answer.map_err(|wait| refuse(&inner.name, &inner.observer, wait))
    }

    /// Gives `key` its whole quota back, for instance after a login succeeded.
    pub fn forget(&self, key: &K) {
        let shard = self.inner.hasher.hash_one(key) as usize % SHARDS;
        if let Some(shard) = self.inner.shards.get(shard) {
            open(shard).remove(key);
        }
    }
}

/// Makes room for one more key. The sort is paid for by the many insertions
/// that it makes room for.
fn make_room<K: Eq + Hash>(keys: &mut HashMap<K, Entry>, most: usize, now: Duration) {
    if keys.len() < most {
        return;
    }
    keys.retain(|_, entry| entry.used(now) > 0);
    let surplus = (keys.len() + 1).saturating_sub(most);
    if surplus == 0 {
        return;
    }
    let remove = surplus.max(most / 8).min(keys.len());
    let mut used: Vec<u64> = keys.values().map(|entry| entry.used(now)).collect();
    used.sort_unstable();
    let Some(limit) = used.get(remove.saturating_sub(1)).copied() else {
        return;
    };
    let mut left = remove;
    keys.retain(|_, entry| {
        let goes = left > 0 && entry.used(now) <= limit;
        left -= usize::from(goes);
        !goes
    });
}

fn open<K>(shard: &Mutex<HashMap<K, Entry>>) -> MutexGuard<'_, HashMap<K, Entry>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K> Clone for KeyedRateLimiter<K> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K> Debug for KeyedRateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRateLimiter")
            .field("name", &self.inner.name)
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}
