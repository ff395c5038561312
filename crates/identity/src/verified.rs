//! A bounded memory of tokens that were verified.
//!
//! Shards keep threads apart. Each shard has two generations: new tokens go
//! into the young one, and when it is full it becomes the old one and the
//! former old one is dropped, so that nothing is ever scanned and tokens in
//! use survive, because a hit moves them back to the young generation.

use crate::verify::Verified;
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

type TokenId = [u8; 32];

const SHARDS: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Entry {
    verified: Verified,
    trusted_until: Timestamp,
    keys: u64,
}

#[derive(Debug, Default)]
struct Shard {
    young: HashMap<TokenId, Entry>,
    old: HashMap<TokenId, Entry>,
}

#[derive(Debug)]
pub(crate) struct VerifiedTokens {
    shards: Vec<RwLock<Shard>>,
    /// The most entries of one generation of one shard.
    young_limit: usize,
}

impl VerifiedTokens {
    /// Remembers at most about `limit` tokens.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            young_limit: limit.div_ceil(SHARDS * 2),
        }
    }

    /// What was found out about the token, if it still holds: the keys are
    /// the same and neither the token nor its key has expired.
    pub(crate) fn find(&self, id: &TokenId, keys: u64, now: Timestamp) -> Option<Verified> {
        let shard = self.shard(id)?;
        let (entry, is_old) = {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            match (shard.young.get(id), shard.old.get(id)) {
                (Some(entry), _) => (*entry, false),
                (None, Some(entry)) => (*entry, true),
                (None, None) => return None,
            }
        };
        if entry.keys != keys || now >= entry.trusted_until {
            return None;
        }
        if is_old {
            self.insert(*id, entry);
        }
        Some(entry.verified)
    }

    /// Remembers a token that was just verified.
    pub(crate) fn remember(
        &self,
        id: TokenId,
        keys: u64,
        trusted_until: Timestamp,
        verified: Verified,
    ) {
        self.insert(
            id,
            Entry {
                verified,
                trusted_until,
                keys,
            },
        );
    }

    fn insert(&self, id: TokenId, entry: Entry) {
        let Some(shard) = self.shard(&id) else {
            return;
        };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.young.len() >= self.young_limit && !shard.young.contains_key(&id) {
            shard.old = std::mem::take(&mut shard.young);
        }
        if self.young_limit > 0 {
            shard.young.insert(id, entry);
        }
    }

    fn shard(&self, id: &TokenId) -> Option<&RwLock<Shard>> {
        self.shards.get(usize::from(id[0]) % SHARDS)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let count = |shard: &RwLock<Shard>| {
            let shard = shard.read().unwrap();
            shard.young.len() + shard.old.len()
        };
        self.shards.iter().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_domain::{Principal, Role, SessionId, UserId, WorkspaceId};
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn verified() -> Verified {
        Verified {
            principal: Principal {
                user_id: UserId::from(Uuid::nil()),
                workspace_id: WorkspaceId::from(Uuid::nil()),
                role: Role::Member,
                session_id: SessionId::from(Uuid::nil()),
            },
            jti: Uuid::nil(),
            issued_at: at(0),
            expires_at: at(100),
        }
    }

    fn id(number: u32) -> TokenId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_le_bytes());
        id
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let tokens = VerifiedTokens::new(320);
        for number in 0..10_000 {
            tokens.remember(id(number), 0, at(100), verified());
        }
        assert!(tokens.len() <= 320, "{}", tokens.len());
    }

    #[test]
    fn a_token_in_use_outlives_the_flood() {
        let tokens = VerifiedTokens::new(320);
        tokens.remember(id(0), 0, at(100), verified());
        for number in 1..10_000 {
            tokens.remember(id(number), 0, at(100), verified());
            assert!(tokens.find(&id(0), 0, at(1)).is_some(), "after {number}");
        }
    }

    #[test]
    fn a_memory_of_size_zero_remembers_nothing() {
        let tokens = VerifiedTokens::new(0);
        tokens.remember(id(0), 0, at(100), verified());
        assert_eq!(tokens.len(), 0);
    }

    #[test]
    fn what_expired_or_was_signed_by_replaced_keys_is_forgotten() {
        let tokens = VerifiedTokens::new(320);
        tokens.remember(id(0), 7, at(100), verified());
        assert!(tokens.find(&id(0), 7, at(99)).is_some());
        assert!(tokens.find(&id(0), 7, at(100)).is_none());
        assert!(tokens.find(&id(0), 8, at(99)).is_none());
    }
}
