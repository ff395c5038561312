//! The signing keys that are in use, and their rotation.
//!
//! Everything is a function of the keys' creation times and the clock, so
//! instances that read the same rows agree without talking to each other:
//! a new key is published first, signs only after every instance had time to
//! learn of it, and its predecessor verifies until the last token that it
//! signed has expired.

use crate::keys::{Jwks, KeyError, SigningKey};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// When keys change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyRotation {
    /// How long a key signs, in seconds. Default 30 days.
    pub period_seconds: u64,
    /// How long a new key is published before it signs, in seconds. It must
    /// be longer than instances take to read new keys and than clients cache
    /// the key list. Default 10 minutes.
    pub publish_ahead_seconds: u64,
    /// How long a key still verifies after its successor took over, in
    /// seconds. It must be longer than access tokens live. Default 20 minutes.
    pub overlap_seconds: u64,
}

impl Default for KeyRotation {
    fn default() -> Self {
        Self {
            period_seconds: 30 * 24 * 3600,
            publish_ahead_seconds: 600,
            overlap_seconds: 1200,
        }
    }
}

/// The keys that sign and verify. Readers never wait.
#[derive(Debug)]
pub struct KeySet {
    rotation: KeyRotation,
    keys: ArcSwap<Vec<SigningKey>>,
    generation: AtomicU64,
}

impl KeySet {
    /// A set of `keys`, in any order.
    #[must_use]
    pub fn new(rotation: KeyRotation, keys: Vec<SigningKey>) -> Self {
        Self {
            rotation,
            keys: ArcSwap::from_pointee(sorted(keys)),
            generation: AtomicU64::new(0),
        }
    }

    /// Takes the keys as they are stored now. What is missing from `keys` is
    /// no longer accepted, whatever its age.
    pub fn replace(&self, keys: Vec<SigningKey>) {
        let keys = sorted(keys);
        let same = {
            let current = self.keys.load();
            current.len() == keys.len()
                && current
                    .iter()
                    .zip(&keys)
                    .all(|(a, b)| a.kid() == b.kid() && a.created_at() == b.created_at())
        };
        if !same {
            self.keys.store(Arc::new(keys));
            // Tokens verified with the former keys have to prove themselves again.
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether a new key is to be made: there is none, or the newest has
    /// signed for its period.
    #[must_use]
    pub fn is_rotation_due(&self, now: Timestamp) -> bool {
        let period = self.rotation.period_seconds;
        self.keys
            .load()
            .last()
            .is_none_or(|newest| now >= later(newest.created_at(), period))
    }

    /// Whether a key made at `created_at` and followed by one made at
    /// `successor` may be deleted for good at `now`.
    #[must_use]
    pub fn is_retired(&self, successor: Timestamp, now: Timestamp) -> bool {
        now >= self.retires_at(successor)
    }

    /// The public keys that verify now or are about to, oldest first.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> Jwks {
        let keys = self.keys.load();
        Jwks {
            keys: keys
                .iter()
                .enumerate()
                .filter(|(index, _)| self.is_valid(&keys, *index, now))
                .map(|(_, key)| key.public_jwk())
                .collect(),
        }
    }

    /// Runs `with` on the key that signs now: the newest that has been
    /// published long enough, else the oldest.
    pub(crate) fn signing<T>(
        &self,
        now: Timestamp,
        with: impl FnOnce(&SigningKey) -> Result<T, KeyError>,
    ) -> Result<T, KeyError> {
        let keys = self.keys.load();
        let ahead = self.rotation.publish_ahead_seconds;
        let key = keys
            .iter()
            .rev()
            .find(|key| now >= later(key.created_at(), ahead))
            .or_else(|| keys.first())
            .ok_or(KeyError::Missing)?;
        with(key)
    }

    /// Whether `signature` over `message` is that of the key `kid`, and until
    /// when the key may be trusted; `None` when the key is unknown or retired.
    pub(crate) fn verify(
        &self,
        kid: &str,
        message: &[u8],
        signature: &str,
        now: Timestamp,
    ) -> Option<(bool, Timestamp)> {
        let keys = self.keys.load();
        let index = keys.iter().position(|key| key.kid() == kid)?;
        if !self.is_valid(&keys, index, now) {
            return None;
        }
        let until = keys
            .get(index + 1)
            .map_or(Timestamp::MAX, |next| self.retires_at(next.created_at()));
        let genuine = keys
            .get(index)
            .is_some_and(|key| key.verifies(message, signature));
        Some((genuine, until))
    }

    /// Changes whenever the keys do.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn is_valid(&self, keys: &[SigningKey], index: usize, now: Timestamp) -> bool {
        keys.get(index + 1)
            .is_none_or(|next| now < self.retires_at(next.created_at()))
    }

    fn retires_at(&self, successor: Timestamp) -> Timestamp {
        later(
            successor,
            self.rotation
                .publish_ahead_seconds
                .saturating_add(self.rotation.overlap_seconds),
        )
    }
}

fn sorted(mut keys: Vec<SigningKey>) -> Vec<SigningKey> {
    keys.sort_by(|a, b| (a.created_at(), a.kid()).cmp(&(b.created_at(), b.kid())));
    keys
}

/// `seconds` after `time`, or the last moment that can be told.
fn later(time: Timestamp, seconds: u64) -> Timestamp {
    time.saturating_add(Duration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROTATION: KeyRotation = KeyRotation {
        period_seconds: 1000,
        publish_ahead_seconds: 100,
        overlap_seconds: 200,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(made: i64) -> SigningKey {
        SigningKey::generate(at(made)).unwrap()
    }

    fn signer(set: &KeySet, now: i64) -> String {
        set.signing(at(now), |key| Ok(key.kid().to_owned()))
            .unwrap()
    }

    #[test]
    fn the_first_key_signs_at_once() {
        let first = key(0);
        let set = KeySet::new(ROTATION, vec![first.clone()]);
        assert_eq!(signer(&set, 0), first.kid());
    }

    #[test]
    fn a_set_without_keys_says_so() {
        let set = KeySet::new(ROTATION, vec![]);
        assert!(set.is_rotation_due(at(0)));
        assert_eq!(
            set.signing(at(0), |_| Ok(())).unwrap_err(),
            KeyError::Missing
        );
    }

    #[test]
    fn a_new_key_is_published_before_it_signs_and_the_old_one_outlives_it() {
        let (old, new) = (key(0), key(1000));
        let set = KeySet::new(ROTATION, vec![new.clone(), old.clone()]);
        let published = |now| -> Vec<String> {
            let json = serde_json::to_value(set.jwks(at(now))).unwrap();
            let keys = json["keys"].as_array().unwrap();
            keys.iter()
                .map(|k| k["kid"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(signer(&set, 1099), old.kid(), "not yet known everywhere");
        assert_eq!(published(1000), [old.kid(), new.kid()]);
        assert_eq!(signer(&set, 1100), new.kid());
        let by_old = old.sign(b"m").unwrap();
        let verdict = |now| set.verify(old.kid(), b"m", &by_old, at(now));
        assert_eq!(verdict(1299), Some((true, at(1300))));
        assert_eq!(verdict(1300), None, "the overlap has ended");
        assert_eq!(published(1300), [new.kid()]);
    }

    #[test]
    fn rotation_is_due_when_the_newest_key_had_its_time() {
        let set = KeySet::new(ROTATION, vec![key(0)]);
        assert!(!set.is_rotation_due(at(999)));
        assert!(set.is_rotation_due(at(1000)));
    }

    #[test]
    fn a_key_that_was_taken_away_is_not_accepted() {
        let stolen = key(0);
        let set = KeySet::new(ROTATION, vec![stolen.clone()]);
        let before = set.generation();
        set.replace(vec![key(1)]);
        let signature = stolen.sign(b"m").unwrap();
        assert_eq!(set.verify(stolen.kid(), b"m", &signature, at(1)), None);
        assert_ne!(set.generation(), before);
    }

    #[test]
    fn reading_the_same_keys_again_changes_nothing() {
        let keys = vec![key(0), key(1)];
        let set = KeySet::new(ROTATION, keys.clone());
        let before = set.generation();
        set.replace(keys.into_iter().rev().collect());
        assert_eq!(set.generation(), before);
    }
}
