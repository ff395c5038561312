//! Reading through: from the first tier that has it, or from the source, once.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;

use crate::{
    Cache, Cached, Key, LoadError, Loaded, Options, Source,
    cache::Inner,
    entry,
    envelope::Envelope,
    flight::{Answer, Follow, Lead, Outcome, Turn},
    hot::{HotEntry, HotRef, Life, Published},
    key::tag_hash,
    observer::{Event, Lookup},
    shared_tier::{Claim, Lease},
    time::micros,
};

/// A value that may stand in when nothing newer is to be had.
#[derive(Debug, Clone)]
pub(crate) struct Standby {
    pub(crate) cached: Cached,
    version: u64,
    tags: Arc<[u64]>,
    fresh_until: u64,
    use_until: u64,
}

impl Standby {
    fn of(entry: &HotEntry, now: u64, source: Source) -> Self {
        Self {
            cached: entry::of(entry, now, source),
            version: entry.version,
            tags: Arc::clone(&entry.tags),
            fresh_until: entry.fresh_until,
            use_until: entry.use_until,
        }
    }

    /// Whether it may be served while a newer value is loaded.
    fn revalidates(&self, now: u64, options: &Options) -> bool {
        now < self
            .fresh_until
            .saturating_add(micros(options.stale_while_revalidate))
    }

    /// Whether it may be served because loading fails.
    fn stands_in(&self, now: u64, options: &Options) -> bool {
        now < self.use_until
            && now
                < self
                    .fresh_until
                    .saturating_add(micros(options.stale_if_error))
    }

    fn answer(self) -> Answer {
        Answer {
            cached: self.cached,
            version: self.version,
            tags: self.tags,
        }
    }
}

impl Cache {
    /// The value of `key`: from the first tier that has it fresh, or from
    /// `loader`, of which only one runs at a time for a key. When loading fails
    /// and an old value may still stand in, that is the answer, marked
    /// [`stale`](Cached::stale).
    ///
    /// When the caller that loads is cancelled, one of those who wait for it
    /// loads instead, with its own loader.
    ///
    /// # Errors
    /// The loader's error, that it took too long, or that it panicked.
    pub async fn get_or_load<E, F, Fut>(
        &self,
        key: &Key,
        options: &Options,
        loader: F,
    ) -> Result<Cached, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let inner = &*self.inner;
        let now = inner.now();
        let arrival = inner.stamps.now();
        let stale = match inner.hot.get(key.fingerprint(), now, &inner.stamps) {
            Some((entry, Life::Fresh)) => return Ok(inner.hot_hit(&entry, now)),
            Some((entry, Life::Eager)) => {
                let cached = inner.hot_hit(&entry, now);
                self.refresh(key, options, loader, &entry);
                return Ok(cached);
            }
            Some((entry, _)) => Some(entry),
            None => None,
        };
        let standby = match stale {
            Some(entry) => {
                let standby = Standby::of(&entry, now, Source::Hot);
                if now < entry.retry_at.load(Ordering::Relaxed) && standby.stands_in(now, options) {
                    inner.stale_hit();
                    return Ok(standby.cached);
                }
                if standby.revalidates(now, options) {
                    inner.stale_hit();
                    self.refresh(key, options, loader, &entry);
                    return Ok(standby.cached);
                }
                Some(standby)
            }
            None => None,
        };
        inner.hot.counters.looked(Lookup::Miss);
        let result = self.load(key, options, loader, standby, arrival).await;
        match &result {
            Ok(cached) if cached.source != Source::Loaded => inner.counts.hits.add(),
            _ => inner.counts.misses.add(),
        }
        result
    }

    /// Loads in the background what is about to expire or has expired, unless
    /// somebody does already.
    fn refresh<E, F, Fut>(&self, key: &Key, options: &Options, loader: F, entry: &HotRef)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let inner = &*self.inner;
        if inner.is_closed() {
            return;
        }
        let Ok(permit) = Arc::clone(&inner.background).try_acquire_owned() else {
            return;
        };
        let Some(lead) = inner.flights.try_lead(key.fingerprint()) else {
            return;
        };
        let now = inner.now();
        // Should the load fail, the next one may try after the pause.
        entry.refresh_at.store(
            now.saturating_add(micros(options.error_pause)),
            Ordering::Relaxed,
        );
        let standby = Some(Standby::of(entry, now, Source::Hot));
        let (cache, key, options) = (self.clone(), key.clone(), options.clone());
        inner
            .counts
            .background_loads
            .fetch_add(1, Ordering::Relaxed);
        inner.tasks.spawn(async move {
            // A failure was counted and told where it happened.
            let _ = cache.fetch(lead, key, options, loader, standby, true).await;
            drop(permit);
        });
    }

    /// Leads the load of `key` or waits for whoever does.
    async fn load<E, F, Fut>(
        &self,
        key: &Key,
        options: &Options,
        loader: F,
        standby: Option<Standby>,
        arrival: u64,
    ) -> Result<Cached, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let inner = &*self.inner;
        loop {
            let follow = match inner.flights.join(key.fingerprint()) {
                Turn::Lead(lead) => return self.lead(lead, key, options, loader, standby).await,
                Turn::Follow(follow) => follow,
            };
            let standing_in = standby
                .as_ref()
                .filter(|standby| standby.stands_in(inner.now(), options));
            let limit = match (standing_in, options.soft_timeout) {
                (Some(_), Some(soft)) => soft,
                // The leader's load is bounded; ours would be by as much.
                _ => options.load_timeout.saturating_mul(2),
            };
            match tokio::time::timeout(limit, follow.outcome()).await {
                Ok(Some(outcome)) => {
                    if let Some(result) = inner.accept(key, outcome, arrival) {
                        return result;
                    }
                }
                Ok(None) => {}
                Err(_) => {
                    return match standing_in {
                        Some(standby) => Ok(inner.serve_stale(standby)),
                        None => Err(LoadError::Timeout { after: limit }),
                    };
                }
            }
        }
    }

    /// Descends through the tiers and loads if none has a fresh value.
    async fn lead<E, F, Fut>(
        &self,
        lead: Lead,
        key: &Key,
        options: &Options,
        loader: F,
        standby: Option<Standby>,
    ) -> Result<Cached, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let inner = &*self.inner;
        let now = inner.now();
        // The flight before this one may have ended between our look and our
        // joining.
        if let Some((entry, Life::Fresh | Life::Eager)) =
            inner.hot.get(key.fingerprint(), now, &inner.stamps)
        {
            let found = Standby::of(&entry, now, Source::Hot);
            return Ok(answer(lead, found));
        }
        let standby = match inner.look_below(key, standby, options).await {
            Some(found) if !found.cached.stale => return Ok(answer(lead, found)),
            found => found,
        };
        let now = inner.now();
        match standby {
            Some(stale) if stale.revalidates(now, options) && !inner.is_closed() => {
                self.spawn_fetch(lead, key, options, loader, Some(stale.clone()));
                Ok(inner.serve_stale(&stale))
            }
            Some(stale)
                if stale.stands_in(now, options)
                    && !inner.is_closed()
                    && options.soft_timeout.is_some() =>
            {
                let soft = options.soft_timeout.unwrap_or_default();
                let follow = self.spawn_fetch(lead, key, options, loader, Some(stale.clone()));
                match tokio::time::timeout(soft, follow.outcome()).await {
                    // Whatever the load brought is newer than our arrival.
                    Ok(Some(outcome)) => inner
                        .accept(key, outcome, 0)
                        .unwrap_or_else(|| Ok(inner.serve_stale(&stale))),
                    Ok(None) | Err(_) => Ok(inner.serve_stale(&stale)),
                }
            }
            standby => {
                let fetched =
                    self.fetch(lead, key.clone(), options.clone(), loader, standby, false);
                fetched.await
            }
        }
    }

    fn spawn_fetch<E, F, Fut>(
        &self,
        lead: Lead,
        key: &Key,
        options: &Options,
        loader: F,
        standby: Option<Standby>,
    ) -> Follow
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let follow = lead.follow();
        let (cache, key, options) = (self.clone(), key.clone(), options.clone());
        self.inner
            .counts
            .background_loads
            .fetch_add(1, Ordering::Relaxed);
        self.inner.tasks.spawn(async move {
            // Those who wait hear of it through the flight.
            let _ = cache.fetch(lead, key, options, loader, standby, true).await;
        });
        follow
    }

    /// Runs the loader, within its time, under a lease if instances share, and
    /// stores what it brings.
    async fn fetch<E, F, Fut>(
        &self,
        lead: Lead,
        key: Key,
        options: Options,
        loader: F,
        standby: Option<Standby>,
        background: bool,
    ) -> Result<Cached, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let inner = &*self.inner;
        // Before the source is asked: what is invalidated from here on, the
        // loaded value may not contain.
        let version = inner.stamps.next();
        let lease = match inner.claim(&key, &options).await {
            Claimed::Found(envelope) => {
                let found = inner.keep_shared(&key, &envelope, version, &options);
                return Ok(answer(lead, found));
            }
            Claimed::Load(lease) => lease,
        };
        let position = inner.shared.as_ref().map_or(0, |shared| shared.position());
        let started = inner.clock.now();
        let loading = AssertUnwindSafe(async move { loader().await }).catch_unwind();
        let loaded = match tokio::time::timeout(options.load_timeout, loading).await {
            Ok(Ok(Ok(loaded))) => Ok(loaded),
            Ok(Ok(Err(error))) => Err(LoadError::Failed(Arc::new(error))),
            Ok(Err(_)) => Err(LoadError::Panicked),
            Err(_) => Err(LoadError::Timeout {
                after: options.load_timeout,
            }),
        };
        let took = inner.clock.now().saturating_sub(started);
        inner.counts.loads.fetch_add(1, Ordering::Relaxed);
        inner.watch.emit(&Event::Loaded {
            took,
            success: loaded.is_ok(),
            background,
        });
        match loaded {
            Ok(loaded) => {
                let load = Load {
                    version,
                    position,
                    took,
                    lease,
                };
                let answered = inner.store(&key, &options, loaded, load);
                let cached = answered.cached.clone();
                lead.finish(Outcome::Answer(Arc::new(answered)));
                Ok(cached)
            }
            Err(error) => {
                inner.counts.load_failures.fetch_add(1, Ordering::Relaxed);
                inner.give_back(&key, lease);
                inner.fail(lead, &key, &options, standby, error)
            }
        }
    }
}

/// What is known about a load when it ends.
struct Load {
    version: u64,
    position: u64,
    took: Duration,
    lease: Option<Lease>,
}

/// What to do after asking the other instances.
enum Claimed {
    Found(Envelope),
    Load(Option<Lease>),
}

fn answer(lead: Lead, found: Standby) -> Cached {
    let cached = found.cached.clone();
    lead.finish(Outcome::Answer(Arc::new(found.answer())));
    cached
}

impl Inner {
    /// The best entry of the disk and the shared tier, or `standby` if that is
    /// newer. What is found is kept in memory.
    pub(crate) async fn look_below(
        &self,
        key: &Key,
        standby: Option<Standby>,
        options: &Options,
    ) -> Option<Standby> {
        let fingerprint = key.fingerprint();
        let mut best = standby;
        if let Some(warm) = self.warm.as_ref().filter(|_| options.warm)
            && let Some(envelope) = warm.get(fingerprint).await
        {
            // Its own stamp tells how old it is among the invalidations.
            let entry = self.adopt(&envelope, envelope.version, options);
            best = self.better(key, best, entry, Source::Warm);
            if best.as_ref().is_some_and(|found| !found.cached.stale) {
                return best;
            }
        }
        if let Some(shared) = self.shared.as_ref().filter(|_| options.shared) {
            // Taken before the question: what is invalidated while the answer
            // travels makes it outdated.
            let version = self.stamps.next();
            if let Some(envelope) = shared.get(fingerprint).await {
                let entry = self.adopt(&envelope, version, options);
                let newer = best.as_ref().is_none_or(|best| {
                    entry::of(&entry, self.now(), Source::Shared).age < best.cached.age
                });
                if newer {
                    self.keep_on_disk(key, &envelope, version, options);
                }
                best = self.better(key, best, entry, Source::Shared);
            }
        }
        best
    }

    /// Publishes `entry` if it is newer than `best`, unless it has been
    /// invalidated, and returns the newer of the two.
    fn better(
        &self,
        key: &Key,
        best: Option<Standby>,
        entry: HotEntry,
        source: Source,
    ) -> Option<Standby> {
        let now = self.now();
        let found = Standby::of(&entry, now, source);
        if now >= found.use_until.max(found.fresh_until)
            || best
                .as_ref()
                .is_some_and(|best| best.cached.age <= found.cached.age)
        {
            return best;
        }
        match self.hot.publish(key, entry, &self.stamps) {
            Published::Outdated => best,
            Published::Kept | Published::TooLarge => Some(found),
        }
    }

    fn keep_on_disk(&self, key: &Key, envelope: &Envelope, version: u64, options: &Options) {
        if let Some(warm) = self.warm.as_ref().filter(|_| options.warm) {
            let envelope = Envelope {
                version,
                ..envelope.clone()
            };
            warm.put(key.fingerprint(), &envelope);
        }
    }

    /// Keeps what another process loaded.
    fn keep_shared(
        &self,
        key: &Key,
        envelope: &Envelope,
        version: u64,
        options: &Options,
    ) -> Standby {
        let entry = self.adopt(envelope, version, options);
        let found = Standby::of(&entry, self.now(), Source::Shared);
        if self.hot.publish(key, entry, &self.stamps) != Published::Outdated {
            self.keep_on_disk(key, envelope, version, options);
        }
        found
    }

    /// Asks the other instances for leave to load, and waits a while for the
    /// one that is loading.
    async fn claim(&self, key: &Key, options: &Options) -> Claimed {
        let Some(shared) = self.shared.as_ref().filter(|_| options.shared) else {
            return Claimed::Load(None);
        };
        // A lease must outlast the load, or its result could not be shared.
        let ttl = options.load_timeout.saturating_add(Duration::from_secs(1));
        let waiting = async {
            let mut pause = Duration::from_millis(5);
            loop {
                match shared.claim(key.fingerprint(), ttl).await {
                    Claim::Found(envelope) => return Claimed::Found(envelope),
                    Claim::Granted(lease) => return Claimed::Load(Some(lease)),
                    Claim::Unavailable => return Claimed::Load(None),
                    Claim::Busy => tokio::time::sleep(pause).await,
                }
                pause = pause.saturating_mul(2).min(Duration::from_millis(100));
            }
        };
        match tokio::time::timeout(self.lease_wait, waiting).await {
            Ok(claimed) => claimed,
            // Whoever holds it takes too long or is gone.
            Err(_) => Claimed::Load(None),
        }
    }

    fn give_back(&self, key: &Key, lease: Option<Lease>) {
        if let (Some(shared), Some(lease)) = (self.shared.clone(), lease) {
            let key = key.fingerprint();
            self.tasks
                .spawn(async move { shared.release(key, lease).await });
        }
    }

    /// Puts what was loaded into the tiers.
    fn store(&self, key: &Key, options: &Options, loaded: Loaded, load: Load) -> Answer {
        let (value, absent, ttl, tags) = match loaded {
            Loaded::Value { bytes, ttl, tags } => {
                let mut all: Vec<u64> = options.tags.to_vec();
                all.extend(tags.iter().map(|tag| tag_hash(tag)));
                let tags = if tags.is_empty() {
                    Arc::clone(&options.tags)
                } else {
                    all.into()
                };
                (bytes, false, ttl.unwrap_or(options.ttl), tags)
            }
            Loaded::Absent => (
                Bytes::new(),
                true,
                options.absent_ttl,
                Arc::clone(&options.tags),
            ),
            Loaded::Uncacheable { bytes } => {
                self.give_back(key, load.lease);
                return self.unkept(bytes, false, load.version, options);
            }
        };
        if ttl.is_zero() {
            if absent {
                // What is there is known to be wrong.
                self.invalidate_here(key.fingerprint());
            }
            self.give_back(key, load.lease);
            return self.unkept(value, absent, load.version, options);
        }
        let made = self.make(entry::New {
            value,
            absent,
            ttl,
            tags,
            version: load.version,
            position: load.position,
            took: load.took,
            options,
        });
        let envelope = made.envelope();
        let answer = Standby::of(&made.hot, self.now(), Source::Loaded).answer();
        if self.hot.publish(key, made.hot, &self.stamps) == Published::Outdated {
            // It was invalidated meanwhile; those who asked before may have it.
            self.give_back(key, load.lease);
            return answer;
        }
        if let Some(warm) = self.warm.as_ref().filter(|_| options.warm) {
            warm.put(key.fingerprint(), &envelope);
        }
        if let (Some(shared), Some(lease)) = (self.shared.clone(), load.lease) {
            let key = key.fingerprint();
            // Nobody here waits for the server.
            self.tasks
                .spawn(async move { shared.fill(key, lease, &envelope).await });
        }
        answer
    }

    fn unkept(&self, value: Bytes, absent: bool, version: u64, options: &Options) -> Answer {
        Answer {
            cached: Cached {
                value,
                source: Source::Loaded,
                age: Duration::ZERO,
                stale: false,
                verified: false,
                absent,
            },
            version,
            tags: Arc::clone(&options.tags),
        }
    }

    /// A load failed: a stale value stands in if there is one.
    fn fail<E: Send + Sync + 'static>(
        &self,
        lead: Lead,
        key: &Key,
        options: &Options,
        standby: Option<Standby>,
        error: LoadError<E>,
    ) -> Result<Cached, LoadError<E>> {
        let now = self.now();
        let fingerprint = key.fingerprint();
        let standing_in = standby.filter(|standby| {
            standby.stands_in(now, options)
                && !self
                    .stamps
                    .outdated(fingerprint.short(), &standby.tags, standby.version)
        });
        if let Some(stale) = standing_in {
            if let Some((entry, _)) = self.hot.get(fingerprint, now, &self.stamps) {
                let retry = now.saturating_add(micros(options.error_pause));
                entry.retry_at.store(retry, Ordering::Relaxed);
            }
            self.serve_stale(&stale);
            return Ok(answer(lead, stale));
        }
        lead.finish(match &error {
            LoadError::Failed(error) => {
                Outcome::Failed(Arc::clone(error) as Arc<dyn Any + Send + Sync>)
            }
            LoadError::Timeout { after } => Outcome::TimedOut(*after),
            LoadError::Panicked => Outcome::Panicked,
        });
        Err(error)
    }

    fn serve_stale(&self, standby: &Standby) -> Cached {
        self.counts.stale_served.fetch_add(1, Ordering::Relaxed);
        standby.cached.clone()
    }

    /// What a flight brought, for a caller that arrived at the stamp
    /// `arrival`. `None` when the value may have been invalidated before that,
    /// or the error is of a type that this caller does not know: then it must
    /// load itself.
    fn accept<E: Send + Sync + 'static>(
        &self,
        key: &Key,
        outcome: Outcome,
        arrival: u64,
    ) -> Option<Result<Cached, LoadError<E>>> {
        match outcome {
            Outcome::Answer(answer) => {
                let newest = self.stamps.newest(key.fingerprint().short(), &answer.tags);
                // Only the newest invalidation is known; one before it may have
                // come before the caller.
                let missed = newest > answer.version && arrival >= answer.version;
                (!missed).then(|| Ok(answer.cached.clone()))
            }
            Outcome::Failed(error) => Some(Err(LoadError::Failed(error.downcast::<E>().ok()?))),
            Outcome::TimedOut(after) => Some(Err(LoadError::Timeout { after })),
            Outcome::Panicked => Some(Err(LoadError::Panicked)),
        }
    }
}
