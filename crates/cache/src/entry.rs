//! Entries as they are made, and as they come from tiers with another clock.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    Cached, Options, Source,
    cache::Inner,
    envelope::Envelope,
    hot::{HotEntry, HotRef},
    options::MAX_TAGS,
    time::micros,
};

/// A value that was loaded or put.
pub(crate) struct New<'a> {
    pub(crate) value: Bytes,
    pub(crate) absent: bool,
    pub(crate) ttl: Duration,
    pub(crate) tags: Arc<[u64]>,
    pub(crate) version: u64,
    pub(crate) position: u64,
    pub(crate) took: Duration,
    pub(crate) options: &'a Options,
}

/// The same entry for memory, with what it takes to write it elsewhere.
pub(crate) struct Made {
    pub(crate) hot: HotEntry,
    position: u64,
    unix: u64,
    fresh_for: u64,
    use_for: u64,
}

impl Made {
    /// The entry for the tiers outside of memory.
    pub(crate) fn envelope(&self) -> Envelope {
        Envelope {
            generation: 0,
            version: self.hot.version,
            position: self.position,
            loaded_at: self.unix,
            fresh_until: self.unix.saturating_add(self.fresh_for),
            use_until: self.unix.saturating_add(self.use_for),
            fresh_for: self.fresh_for,
            use_for: self.use_for,
            load_micros: self.hot.load_micros,
            absent: self.hot.absent,
            tags: Arc::clone(&self.hot.tags),
            value: self.hot.value.clone(),
        }
    }
}

impl Inner {
    /// An entry that begins to live now.
    pub(crate) fn make(&self, new: New<'_>) -> Made {
        let now = self.now();
        let options = new.options;
        let share = 1.0 - options.jitter.clamp(0.0, 0.9) * self.chance();
        // Less than a millisecond would be over before it is stored.
        let ttl = new.ttl.max(Duration::from_millis(1)).mul_f64(share);
        let fresh_for = micros(ttl);
        let use_for = fresh_for.saturating_add(micros(options.longest_stale()));
        let load_micros = u32::try_from(micros(new.took)).unwrap_or(u32::MAX);
        let fresh_until = now.saturating_add(fresh_for);
        let tags = if new.tags.len() > MAX_TAGS {
            new.tags[..MAX_TAGS].into()
        } else {
            new.tags
        };
        Made {
            hot: HotEntry {
                value: new.value,
                absent: new.absent,
                verified: false,
                version: new.version,
                loaded_at: signed(now),
                fresh_until,
                use_until: now.saturating_add(use_for),
                refresh_at: AtomicU64::new(self.refresh_at(options, now, fresh_until, load_micros)),
                retry_at: AtomicU64::new(0),
                idle: options.time_to_idle.map_or(u64::MAX, micros),
                touched: AtomicU64::new(now),
                tags,
                checked: AtomicU64::new(0),
                load_micros,
                charge: None,
            },
            position: new.position,
            unix: micros(self.clock.unix_time()),
            fresh_for,
            use_for,
        }
    }

    /// An entry that has lived elsewhere, under the stamp `version`.
    pub(crate) fn adopt(&self, envelope: &Envelope, version: u64, options: &Options) -> HotEntry {
        let (now, unix) = (self.now(), micros(self.clock.unix_time()));
        // The spans bound what a clock that was set back makes of the times.
        let left = |until: u64, span: u64| until.saturating_sub(unix).min(span);
        let fresh_until = now.saturating_add(left(envelope.fresh_until, envelope.fresh_for));
        let age = unix.saturating_sub(envelope.loaded_at);
        HotEntry {
            value: envelope.value.clone(),
            absent: envelope.absent,
            verified: true,
            version,
            loaded_at: signed(now).saturating_sub(signed(age)),
            fresh_until,
            use_until: now.saturating_add(left(envelope.use_until, envelope.use_for)),
            refresh_at: AtomicU64::new(self.refresh_at(
                options,
                now,
                fresh_until,
                envelope.load_micros,
            )),
            retry_at: AtomicU64::new(0),
            idle: options.time_to_idle.map_or(u64::MAX, micros),
            touched: AtomicU64::new(now),
            tags: Arc::clone(&envelope.tags),
            checked: AtomicU64::new(0),
            load_micros: envelope.load_micros,
            charge: None,
        }
    }

    /// XFetch (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache
    /// Stampede Prevention"), with one draw for the life of the entry.
    fn refresh_at(&self, options: &Options, now: u64, fresh_until: u64, load_micros: u32) -> u64 {
        let Some(beta) = options.eager else {
            return u64::MAX;
        };
        let early = f64::from(load_micros) * beta * -(1.0 - self.chance()).ln();
        // A cast of a float saturates, and an early refresh of an entry that
        // was just stored would only load it twice.
        fresh_until
            .saturating_sub(early as u64)
            .max(now.saturating_add(1))
    }
}

/// What a reader gets of an entry.
pub(crate) fn cached(entry: &HotRef, now: u64, source: Source) -> Cached {
    of(entry, now, source)
}

pub(crate) fn of(entry: &HotEntry, now: u64, source: Source) -> Cached {
    let age = signed(now).saturating_sub(entry.loaded_at);
    Cached {
        value: entry.value.clone(),
        source,
        age: Duration::from_micros(u64::try_from(age).unwrap_or(0)),
        stale: now >= entry.fresh_until,
        verified: entry.verified,
        absent: entry.absent,
    }
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}
