//! No namespace may fill the memory alone.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{Key, key::Fingerprint};

/// Namespaces that are remembered although they hold nothing.
const IDLE_NAMESPACES: usize = 4096;

/// Bytes per namespace. When one is at its quota, its own oldest entries make
/// room for its new ones.
#[derive(Debug)]
pub(crate) struct Quotas {
    each: Option<usize>,
    accounts: RwLock<HashMap<Arc<str>, Arc<Account>>>,
}

#[derive(Debug, Default)]
struct Account {
    used: AtomicUsize,
    entries: AtomicUsize,
    /// Its entries in the order in which they came; some may be gone.
    order: Mutex<VecDeque<Fingerprint>>,
}

/// The bytes of one entry, given back when it goes.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Arc<Account>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.account.entries.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An entry is larger than its namespace may be.
#[derive(Debug)]
pub(crate) struct OverQuota;

impl Quotas {
    pub(crate) fn new(each: Option<usize>) -> Self {
        Self {
            each,
            accounts: RwLock::new(HashMap::new()),
        }
    }

    /// Charges `bytes` to the namespace of `key`; `evict` is called for its
    /// oldest entries until there is room. `is_there` tells which entries are
    /// still kept.
    pub(crate) fn charge(
        &self,
        key: &Key,
        bytes: usize,
        is_there: impl Fn(&Fingerprint) -> bool,
        evict: impl Fn(Fingerprint),
    ) -> Result<Option<Charge>, OverQuota> {
        let Some(quota) = self.each else {
            return Ok(None);
        };
        if bytes > quota {
            return Err(OverQuota);
        }
        let account = self.account(key);
        account.used.fetch_add(bytes, Ordering::Relaxed);
        account.entries.fetch_add(1, Ordering::Relaxed);
        let charge = Charge {
            account: Arc::clone(&account),
            bytes,
        };
        while account.used.load(Ordering::Relaxed) > quota {
            let oldest = account
                .order
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            match oldest {
                Some(oldest) => evict(oldest),
                // All that is left are entries which readers still hold.
                None => break,
            }
        }
        account.remember(key.fingerprint(), is_there);
        Ok(Some(charge))
    }

    fn account(&self, key: &Key) -> Arc<Account> {
        let known = self
            .accounts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key.namespace())
            .cloned();
        if let Some(account) = known {
            return account;
        }
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= IDLE_NAMESPACES {
            accounts.retain(|_, account| account.entries.load(Ordering::Relaxed) > 0);
        }
        Arc::clone(accounts.entry(key.namespace().into()).or_default())
    }
}

impl Account {
    fn remember(&self, key: Fingerprint, is_there: impl Fn(&Fingerprint) -> bool) {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        // Entries that went by themselves, or came again, are listed in vain:
        // the list is tidied when more than half of it must be such.
        if order.len() >= self.entries.load(Ordering::Relaxed) * 2 + 64 {
            let mut seen = HashSet::new();
            let mut kept: VecDeque<Fingerprint> = VecDeque::new();
            for listed in order.drain(..).rev() {
                if seen.insert(listed) && is_there(&listed) {
                    kept.push_front(listed);
                }
            }
            *order = kept;
        }
        order.push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn key(namespace: &str, number: u32) -> Key {
        Key::new(namespace, [number.to_le_bytes()])
    }

    #[test]
    fn a_namespace_makes_room_for_itself_and_leaves_others_alone() {
        let quotas = Quotas::new(Some(100));
        let kept = RefCell::new(HashMap::new());
        let put = |key: Key| {
            let charge = quotas
                .charge(
                    &key,
                    30,
                    |other| kept.borrow().contains_key(other),
                    |other| drop(kept.borrow_mut().remove(&other)),
                )
                .unwrap();
            kept.borrow_mut().insert(key.fingerprint(), charge);
        };
        put(key("quiet", 0));
        (0..1000).for_each(|number| put(key("loud", number % 50)));
        assert!(kept.borrow().contains_key(&key("quiet", 0).fingerprint()));
        assert_eq!(kept.borrow().len(), 1 + 3);
        let account = quotas.account(&key("loud", 0));
        assert_eq!(account.used.load(Ordering::Relaxed), 90);
        assert!(account.order.lock().unwrap().len() <= 3 * 2 + 66);
    }

    #[test]
    fn an_entry_larger_than_the_quota_is_refused() {
        let quotas = Quotas::new(Some(100));
        assert!(quotas.charge(&key("a", 0), 101, |_| true, |_| ()).is_err());
    }
}
