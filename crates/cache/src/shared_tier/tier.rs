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

use super::{
    Claim,
    order::Order,
    outbox::{Item, Outbox},
};
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
    outbox: Outbox,
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
    announce: Script,
    table: Script,
    head: Script,
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
        let telling = self.outbox.begin([Item::Key(key)]);
        let written = match self.encoded(key, entry) {
            Some((bytes, ttl)) if self.is_usable() => {
                let answer = self.run(&self.scripts.put, key, vec![bytes, ttl]).await;
                answer.is_ok() && self.announce(Item::Key(key)).await.is_ok()
            }
            _ => false,
        };
        if written {
            telling.succeed();
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
        self.tell(keys.iter().map(|key| Item::Key(*key)).collect())
            .await
    }

    /// Invalidates a tag, or everything, here and in the other instances.
    pub(crate) async fn invalidate_lazily(&self, target: Target) -> bool {
        self.tell(vec![target.into()]).await
    }

    async fn tell(&self, items: Vec<Item>) -> bool {
        // Noted first, so that nobody here reads the old entry meanwhile, and
        // nothing is lost when this call is cancelled.
        let telling = self.outbox.begin(items.iter().copied());
        let told = self.tell_each(&items).await.is_ok();
        if told {
            telling.succeed();
        }
        told
    }

    /// Tells the server what it could not be told when it happened.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        while let Some((telling, items)) = self.outbox.next() {
            self.tell_each(&items).await?;
            telling.succeed();
        }
        Ok(())
    }

    async fn tell_each(&self, items: &[Item]) -> Result<(), Error> {
        for item in items {
            if let Item::Key(key) = item {
                self.run(&self.scripts.forget, *key, Vec::new()).await?;
            }
            self.announce(*item).await?;
        }
        Ok(())
    }

    /// Puts an invalidation into the shared order, where the other instances
    /// hear of it.
    async fn announce(&self, item: Item) -> Result<(), Error> {
        let (kind, name) = match item {
            // Without a name, which only a failing cryptography causes, they
            // are told to drop everything.
            Item::Key(key) => match self.backplane_name(key) {
                Some(name) => ("k", name),
                None => ("a", Bytes::new()),
            },
            Item::Tag(tag) => ("t", Bytes::from(format!("{tag:016x}"))),
            Item::All => ("a", Bytes::new()),
        };
        let args = vec![
            Bytes::from(kind),
            name,
            Bytes::from(format!("{:016x}", self.origin)),
            text(STREAM_KEPT),
            text(TAGS_KEPT),
            new_generation(),
        ];
        let (table, stream) = (self.table_key(), self.stream_key());
        let answer = self
            .redis
            .script(&self.scripts.announce, &[&table, &stream], args)
            .await;
        let at = self
            .heard(answer)?
            .as_integer()
            .and_then(|at| u64::try_from(at).ok());
        match (kind, item, at) {
            ("t", Item::Tag(tag), Some(at)) => self.order.tag_invalidated(tag, at),
            ("a", _, Some(at)) => self.order.all_invalidated(at),
            _ => {}
        }
        Ok(())
    }

    /// Reads the server's table of invalidated tags; creates it if need be.
    pub(super) async fn load_table(&self) -> Result<bool, Error> {
        let (table, stream) = (self.table_key(), self.stream_key());
        let answer = self
            .redis
            .script(
                &self.scripts.table,
                &[&table, &stream],
                vec![new_generation()],
            )
            .await;
        Ok(self.order.load(&self.heard(answer)?).is_some())
    }

    /// The generation of the server's table and the count of invalidations in
    /// it.
    pub(super) async fn head(&self) -> Result<(u64, u64), Error> {
        let table = self.table_key();
        let answer = self
            .redis
            .script(&self.scripts.head, &[&table], Vec::new())
            .await;
        let answer = self.heard(answer)?;
        let field =
            |index: usize| std::str::from_utf8(answer.as_array()?.get(index)?.as_bytes()?).ok();
        let generation = field(0).and_then(|text| u64::from_str_radix(text, 16).ok());
        let seen = field(1).and_then(|text| text.parse().ok());
        Ok((generation.unwrap_or(0), seen.unwrap_or(0)))
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

/// A random name for a new table; never zero.
fn new_generation() -> Bytes {
    let mut random = [0; 8];
    // Were there no random bytes, every new table would have the same name,
    // and the count in it would still tell a new one from an old one.
    let _ = aws_lc_rs::rand::fill(&mut random);
    Bytes::from(format!("{:016x}", u64::from_le_bytes(random) | 1))
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
            // KEYS: table, stream. ARGV: kind, name, origin, stream length, tags
            // kept, a generation in case there is no table. The place in the
            // stream is the count, so that a reader notices every gap.
            announce: Script::new(
                "if redis.call('HSETNX', KEYS[1], 'generation', ARGV[6]) == 1 then
                     redis.call('DEL', KEYS[2])
                 end
                 local at = redis.call('HINCRBY', KEYS[1], 'seq', 1)
                 if ARGV[1] == 't' then
                     redis.call('HSET', KEYS[1], 't:' .. ARGV[2], at)
                 end
                 local full = redis.call('HLEN', KEYS[1]) > tonumber(ARGV[5])
                 if ARGV[1] == 'a' or full then
                     local generation = redis.call('HGET', KEYS[1], 'generation')
                     redis.call('DEL', KEYS[1])
                     redis.call('HSET', KEYS[1], 'seq', at, 'floor', at, 'generation', generation)
                 end
                 redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], at .. '-1',
                     'k', ARGV[1], 'v', ARGV[2], 'o', ARGV[3], 'f', full and 1 or 0)
                 return at",
            ),
            // KEYS: table, stream. ARGV: a generation in case there is none.
            table: Script::new(
                "if redis.call('HSETNX', KEYS[1], 'generation', ARGV[1]) == 1 then
                     redis.call('DEL', KEYS[2])
                 end
                 return redis.call('HGETALL', KEYS[1])",
            ),
            head: Script::new("return redis.call('HMGET', KEYS[1], 'generation', 'seq')"),
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
