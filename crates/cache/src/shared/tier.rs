//! Entries on the server, and who may write them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use mainstay_redis::{Error, Redis, Script, Value};
use mainstay_resilience::SharedClock;

use super::{Claim, order::Order, outbox::Outbox};
use crate::{
    counters::{TierCounters, count},
    envelope::{self, Envelope, Sealer},
    key::Fingerprint,
    observer::{Event, Lookup, Tier, TierState, Watch},
    stamps::Target,
    time::micros,
};

/// Entries larger than this stay out of the shared tier: they would hold up
/// everybody's commands.
const LARGEST: usize = 8 << 20;

/// What the sealed names on the backplane are bound to.
const BACKPLANE: &[u8] = b"mainstay-cache backplane";

/// Tags that the server remembers one by one.
const TAGS_KEPT: usize = 20_000;

/// Invalidations that the stream keeps for instances that were away.
pub(super) const STREAM_KEPT: u64 = 10_000;

pub(crate) struct Shared {
    pub(super) redis: Redis,
    prefix: String,
    sealer: Option<Arc<Sealer>>,
    compress_above: Option<usize>,
    clock: SharedClock,
    watch: Watch,
    counters: TierCounters,
    pub(super) order: Order,
    pub(super) outbox: Outbox,
    /// Whether this instance has heard of everything that others invalidated.
    pub(super) synchronised: AtomicBool,
    /// Tells this instance's own invalidations from those of others.
    pub(super) origin: u64,
    leases: AtomicU64,
    scripts: Scripts,
}

struct Scripts {
    claim: Script,
    fill: Script,
    put: Script,
    release: Script,
    forget: Script,
    lazily: Script,
    table: Script,
}

/// The right to write the entry of one key. It ends by itself after a while,
/// and with an invalidation of the key.
#[derive(Debug)]
pub(crate) struct Lease {
    token: String,
}

pub(crate) struct Parts {
    pub(crate) redis: Redis,
    pub(crate) prefix: String,
    pub(crate) sealer: Option<Arc<Sealer>>,
    pub(crate) compress_above: Option<usize>,
    pub(crate) clock: SharedClock,
    pub(crate) watch: Watch,
    pub(crate) origin: u64,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            redis: parts.redis,
            prefix: parts.prefix,
            sealer: parts.sealer,
            compress_above: parts.compress_above,
            clock: parts.clock,
            watch: parts.watch,
            counters: TierCounters::default(),
            order: Order::default(),
            outbox: Outbox::default(),
            synchronised: AtomicBool::new(false),
            origin: parts.origin,
            leases: AtomicU64::new(0),
            scripts: Scripts::new(),
        }
    }

    pub(crate) fn counters(&self) -> &TierCounters {
        &self.counters
    }

    pub(crate) fn state(&self) -> TierState {
        match (
            self.redis.is_available(),
            self.synchronised.load(Ordering::Acquire),
        ) {
            (true, true) => TierState::Up,
            (true, false) => TierState::Opening,
            (false, _) => TierState::Tripped,
        }
    }

    /// The place in the shared order at which a load that begins now stands.
    pub(crate) fn position(&self) -> u64 {
        self.order.seen()
    }

    /// Whether it is worth asking: the server answers, and what it says can be
    /// judged.
    fn is_usable(&self) -> bool {
        self.synchronised.load(Ordering::Acquire) && self.redis.is_available()
    }

    /// The entry of `key`. A tier that fails is a miss that is counted.
    pub(crate) async fn get(&self, key: Fingerprint) -> Option<Envelope> {
        if !self.is_usable() {
            return None;
        }
        let started = self.clock.now();
        let answer = self.redis.get(&self.entry_key(key)).await;
        let found = answer.map(|bytes| bytes.map(|bytes| self.judge(key, &bytes)));
        let result = match &found {
            Ok(Some(Ok(Some(entry)))) if entry.fresh_until > micros(self.clock.unix_time()) => {
                Lookup::Hit
            }
            Ok(Some(Ok(Some(_)))) => Lookup::Stale,
            Ok(None | Some(Ok(None))) => Lookup::Miss,
            Ok(Some(Err(()))) => Lookup::Damaged,
            Err(_) => Lookup::Error,
        };
        self.counters.looked(result);
        self.watch.emit(&Event::Looked {
            tier: Tier::Shared,
            result,
            took: self.clock.now().saturating_sub(started),
        });
        found.ok().flatten()?.ok().flatten()
    }

    /// The entry in `bytes` unless it was invalidated; an error when they are
    /// damaged.
    fn judge(&self, key: Fingerprint, bytes: &Bytes) -> Result<Option<Envelope>, ()> {
        match envelope::decode(bytes, self.outer(key), self.sealer.as_deref()) {
            Ok(entry)
                if self
                    .order
                    .is_current(entry.generation, &entry.tags, entry.position)
                    && !self.outbox.holds(key, &entry.tags) =>
            {
                Ok(Some(entry))
            }
            Ok(_) => Ok(None),
            Err(malformed) => {
                tracing::debug!(?malformed, "an entry of the shared tier is not usable");
                if malformed.is_damage() {
                    Err(())
                } else {
                    Ok(None)
                }
            }
        }
    }

    /// Asks for the right to load `key`, for at most `ttl`.
    pub(crate) async fn claim(&self, key: Fingerprint, ttl: Duration) -> Claim {
        if !self.is_usable() {
            return Claim::Unavailable;
        }
        let token = self.token();
        let args = vec![Bytes::from(token.clone()), text(ttl.as_millis().max(1))];
        let answer = self.run(&self.scripts.claim, key, args).await;
        let Ok(Value::Array(parts)) = answer else {
            return Claim::Unavailable;
        };
        let entry = parts
            .get(1)
            .and_then(Value::as_bytes)
            .and_then(|bytes| self.judge(key, bytes).ok().flatten());
        let now = micros(self.clock.unix_time());
        match (parts.first().and_then(Value::as_integer), entry) {
            (Some(1), Some(entry)) if entry.fresh_until > now => {
                self.release(key, Lease { token }).await;
                Claim::Found(entry)
            }
            (Some(1), _) => Claim::Granted(Lease { token }),
            (_, Some(entry)) if entry.fresh_until > now => Claim::Found(entry),
            _ => Claim::Busy,
        }
    }

    /// Writes what was loaded under `lease`, unless the lease has ended.
    pub(crate) async fn fill(&self, key: Fingerprint, lease: Lease, entry: &Envelope) {
        match self.encoded(key, entry) {
            Some((bytes, ttl)) => {
                let args = vec![Bytes::from(lease.token), bytes, ttl];
                let written = self.run(&self.scripts.fill, key, args).await;
                if matches!(written, Ok(Value::Integer(1))) {
                    count(&self.counters.writes);
                } else {
                    self.dropped();
                }
            }
            None => self.release(key, lease).await,
        }
    }

    pub(crate) async fn release(&self, key: Fingerprint, lease: Lease) {
        // Should it fail, the lease ends by itself.
        let _ = self
            .run(&self.scripts.release, key, vec![Bytes::from(lease.token)])
            .await;
    }

    /// Writes an entry whatever is there, ends every lease of the key and tells
    /// the other instances. Where it cannot, the old entry is invalidated as
    /// soon as the server is back.
    pub(crate) async fn put(&self, key: Fingerprint, entry: &Envelope) -> bool {
        self.outbox.add_keys(&[key]);
        let written = match self.encoded(key, entry) {
            Some((bytes, ttl)) if self.is_usable() => {
                let answer = self.run(&self.scripts.put, key, vec![bytes, ttl]).await;
                answer.is_ok() && self.announce(key).await.is_ok()
            }
            _ => false,
        };
        if written {
            self.outbox.told(&[key], &[]);
            count(&self.counters.writes);
        } else {
            self.dropped();
        }
        written
    }

    fn dropped(&self) {
        count(&self.counters.dropped);
        self.watch.emit(&Event::Dropped { tier: Tier::Shared });
    }

    /// Deletes the entries of `keys`, ends their leases and tells the other
    /// instances. When the server is away they are told when it is back.
    pub(crate) async fn invalidate(&self, keys: &[Fingerprint]) -> bool {
        // First among those that wait, so that nobody here reads the old entry
        // meanwhile, and nothing is lost when this call is cancelled.
        self.outbox.add_keys(keys);
        let told = self.tell_keys(keys).await.is_ok();
        if told {
            self.outbox.told(keys, &[]);
        }
        told
    }

    pub(super) async fn tell_keys(&self, keys: &[Fingerprint]) -> Result<(), Error> {
        for key in keys {
            self.run(&self.scripts.forget, *key, Vec::new()).await?;
            self.announce(*key).await?;
        }
        Ok(())
    }

    /// Tells the other instances that what they keep of `key` is outdated.
    async fn announce(&self, key: Fingerprint) -> Result<(), Error> {
        // Without a name, which only a failing cryptography causes, they are
        // told to drop everything.
        let (kind, name) = match self.backplane_name(key) {
            Some(name) => ("k", name),
            None => ("a", Bytes::new()),
        };
        let fields = vec![
            ("k".to_owned(), Bytes::from(kind)),
            ("v".to_owned(), name),
            ("o".to_owned(), Bytes::from(format!("{:016x}", self.origin))),
        ];
        let answer = self
            .redis
            .stream_append(&self.stream_key(), fields, STREAM_KEPT)
            .await;
        self.heard(answer).map(drop)
    }

    /// Invalidates a tag, or everything, here and in the other instances.
    pub(crate) async fn invalidate_lazily(&self, target: Target) -> bool {
        self.outbox.add(target);
        let told = self.tell_lazily(target).await.is_ok();
        if told {
            self.outbox.told(&[], &[target]);
        }
        told
    }

    pub(super) async fn tell_lazily(&self, target: Target) -> Result<(), Error> {
        let (kind, tag) = match target {
            Target::Tag(tag) => ("t", format!("{tag:016x}")),
            Target::All | Target::Key(_) => ("a", String::new()),
        };
        let args = vec![
            Bytes::from(kind),
            Bytes::from(tag),
            Bytes::from(format!("{:016x}", self.origin)),
            text(STREAM_KEPT),
            text(TAGS_KEPT),
        ];
        let (table, stream) = (self.table_key(), self.stream_key());
        let answer = self
            .redis
            .script(&self.scripts.lazily, &[&table, &stream], args)
            .await;
        let at = self
            .heard(answer)?
            .as_integer()
            .and_then(|at| u64::try_from(at).ok());
        match (target, at) {
            (Target::Tag(tag), Some(at)) => self.order.tag_invalidated(tag, at),
            (_, Some(at)) => self.order.all_invalidated(at),
            (_, None) => {}
        }
        Ok(())
    }

    /// Reads the server's table of invalidated tags; creates it if need be.
    pub(super) async fn load_table(&self) -> Result<bool, Error> {
        let mut random = [0; 8];
        // Zero would be no generation; without random bytes there is no use in
        // going on either.
        if aws_lc_rs::rand::fill(&mut random).is_err() {
            return Ok(false);
        }
        let generation = format!("{:016x}", u64::from_le_bytes(random) | 1);
        let table = self.table_key();
        let answer = self
            .redis
            .script(
                &self.scripts.table,
                &[&table],
                vec![Bytes::from(generation)],
            )
            .await;
        Ok(self.order.load(&self.heard(answer)?).is_some())
    }

    async fn run(
        &self,
        script: &Script,
        key: Fingerprint,
        args: Vec<Bytes>,
    ) -> Result<Value, Error> {
        let (entry, lease) = (self.entry_key(key), self.lease_key(key));
        let answer = self.redis.script(script, &[&entry, &lease], args).await;
        self.heard(answer)
    }

    fn heard<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &answer {
            self.counters.failed();
            tracing::debug!(%error, "the shared tier failed");
        }
        answer
    }

    /// The bytes of `entry` and how many ms the server is to keep them.
    fn encoded(&self, key: Fingerprint, entry: &Envelope) -> Option<(Bytes, Bytes)> {
        let left = entry
            .use_until
            .saturating_sub(micros(self.clock.unix_time()))
            / 1000;
        if left == 0 {
            return None;
        }
        let entry = Envelope {
            generation: self.order.generation(),
            ..entry.clone()
        };
        let bytes = envelope::encode(
            &entry,
            self.outer(key),
            self.sealer.as_deref(),
            self.compress_above,
        )?;
        (bytes.len() <= LARGEST).then(|| (bytes, text(left)))
    }

    fn token(&self) -> String {
        format!(
            "{:016x}-{}",
            self.origin,
            self.leases.fetch_add(1, Ordering::Relaxed)
        )
    }

    fn outer(&self, key: Fingerprint) -> Fingerprint {
        self.sealer.as_ref().map_or(key, |sealer| sealer.outer(key))
    }

    /// How instances name `key` to each other: sealed, where there is a key,
    /// so that the stream tells nothing about the question.
    fn backplane_name(&self, key: Fingerprint) -> Option<Bytes> {
        let mut name = key.0.to_vec();
        if let Some(sealer) = &self.sealer {
            let nonce = sealer.seal(BACKPLANE, &mut name)?;
            name.extend_from_slice(&nonce);
        }
        Some(Bytes::from(name))
    }

    /// The key that another instance named.
    pub(super) fn named(&self, name: &[u8]) -> Option<Fingerprint> {
        let Some(sealer) = &self.sealer else {
            return Some(Fingerprint(name.try_into().ok()?));
        };
        let (body, nonce) = name.split_last_chunk::<12>()?;
        let mut body = body.to_vec();
        let length = sealer.open(BACKPLANE, *nonce, &mut body)?;
        Some(Fingerprint(body.get(..length)?.try_into().ok()?))
    }

    // The braces put what a script touches together into one slot of a
    // cluster.

    fn entry_key(&self, key: Fingerprint) -> String {
        format!("{}:{{{}}}:v", self.prefix, self.outer(key).hex())
    }

    fn lease_key(&self, key: Fingerprint) -> String {
        format!("{}:{{{}}}:l", self.prefix, self.outer(key).hex())
    }

    fn table_key(&self) -> String {
        format!("{{{}}}:order", self.prefix)
    }

    pub(super) fn stream_key(&self) -> String {
        format!("{{{}}}:invalidated", self.prefix)
    }
}

fn text(number: impl ToString) -> Bytes {
    Bytes::from(number.to_string())
}

impl Scripts {
    fn new() -> Self {
        Self {
            // KEYS: entry, lease. ARGV: token, ttl.
            claim: Script::new(
                "local granted = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
                 return {granted and 1 or 0, redis.call('GET', KEYS[1])}",
            ),
            // ARGV: token, entry, ttl.
            fill: Script::new(
                "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
                 redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
                 redis.call('DEL', KEYS[2])
                 return 1",
            ),
            // ARGV: entry, ttl.
            put: Script::new(
                "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
                 redis.call('DEL', KEYS[2])
                 return 1",
            ),
            // ARGV: token.
            release: Script::new(
                "if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
                 return 1",
            ),
            forget: Script::new("return redis.call('DEL', KEYS[1], KEYS[2])"),
            // KEYS: table, stream. ARGV: kind, tag, origin, stream length, tags kept.
            lazily: Script::new(
                "local at = redis.call('HINCRBY', KEYS[1], 'seq', 1)
                 if ARGV[1] == 't' then
                     redis.call('HSET', KEYS[1], 't:' .. ARGV[2], at)
                 end
                 local full = redis.call('HLEN', KEYS[1]) > tonumber(ARGV[5])
                 if ARGV[1] == 'a' or full then
                     local generation = redis.call('HGET', KEYS[1], 'generation')
                     redis.call('DEL', KEYS[1])
                     redis.call('HSET', KEYS[1], 'seq', at, 'floor', at)
                     if generation then redis.call('HSET', KEYS[1], 'generation', generation) end
                 end
                 redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*',
                     'k', ARGV[1], 'v', ARGV[2], 'o', ARGV[3], 's', at, 'f', full and 1 or 0)
                 return at",
            ),
            // KEYS: table. ARGV: a generation in case there is none.
            table: Script::new(
                "redis.call('HSETNX', KEYS[1], 'generation', ARGV[1])
                 return redis.call('HGETALL', KEYS[1])",
            ),
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("prefix", &self.prefix)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
