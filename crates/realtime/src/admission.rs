//! Who is let in: so many connections in all, so many per principal, so fast
//! per address.

use crate::{lock::lock, spread::Spread};
use mainstay_resilience::SharedClock;
use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The limits of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmissionConfig {
    /// The most connections of this process. Default 10,000.
    pub max_connections: usize,
    /// The most connections of one principal. Default 5.
    pub per_principal: usize,
    /// New connections per second from one address, on average. Default 10.
    pub per_address_per_second: u32,
    /// New connections from one address at once, before the average counts.
    /// Default 50.
    pub per_address_burst: u32,
    /// The most addresses that are told apart; beyond it, addresses that were
    /// not seen lately share one allowance. Default 20,000.
    pub max_addresses: usize,
    /// New connections per second from which on reconnecting clients are told
    /// to take their time. Nobody is refused for it. Default 100.
    pub storm_per_second: u32,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            per_principal: 5,
            per_address_per_second: 10,
            per_address_burst: 50,
            max_addresses: 20_000,
            storm_per_second: 100,
        }
    }
}

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The process serves as many connections as it may.
    Capacity,
    /// The principal has as many connections as it may.
    PerPrincipal,
    /// The address opens connections too fast.
    Rate,
    /// New connections are not taken now: the process is going down or under
    /// pressure.
    Paused,
}

/// A connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// When to try again; spread so that those refused together do not come
    /// back together.
    pub retry_after: Duration,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Capacity => "the server has as many connections as it can serve",
            Reason::PerPrincipal => "too many connections at the same time",
            Reason::Rate => "too many new connections in a short time",
            Reason::Paused => "the server takes no new connections now",
        })
    }
}

impl std::error::Error for Refused {}

/// Lets connections in. `A` is an address, `P` a principal. Cheap to clone.
pub struct Admission<A, P> {
    inner: Arc<Inner<A, P>>,
}

struct Inner<A, P> {
    config: AdmissionConfig,
    clock: SharedClock,
    state: Mutex<State<A, P>>,
    spread: Spread,
}

struct State<A, P> {
    connections: usize,
    principals: HashMap<P, usize>,
    /// When each address will have used up what it took: its allowance is full
    /// again at that time, so entries in the past need not be kept.
    addresses: HashMap<A, Duration>,
    strangers: Duration,
    paused: bool,
    second: Second,
}

/// The connects of the running second and of the one before.
#[derive(Default, Clone, Copy)]
struct Second {
    number: u64,
    count: u32,
    before: u32,
}

impl<A, P> Admission<A, P>
where
    A: Eq + Hash,
    P: Eq + Hash + Clone,
{
    /// Nobody is in yet.
    #[must_use]
    pub fn new(config: AdmissionConfig, clock: SharedClock) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                clock,
                state: Mutex::new(State {
                    connections: 0,
                    principals: HashMap::new(),
                    addresses: HashMap::new(),
                    strangers: Duration::ZERO,
                    paused: false,
                    second: Second::default(),
                }),
                spread: Spread::new(),
            }),
        }
    }

    /// Lets a connection from `address` in, as long as the slot is held.
    ///
    /// # Errors
    /// [`Refused`] with the reason and when to try again.
    pub fn admit(&self, address: A) -> Result<Slot<A, P>, Refused> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let refusal = {
            let mut state = lock(&inner.state);
            state.second.count(now);
            if state.paused {
                Reason::Paused
            } else if !state.takes_from(address, &inner.config, now) {
                Reason::Rate
            } else if state.connections >= inner.config.max_connections {
                Reason::Capacity
            } else {
                state.connections += 1;
                return Ok(Slot {
                    inner: Arc::clone(inner),
                    principal: None,
                });
            }
        };
        Err(inner.refuse(refusal))
    }

    /// Takes no new connections, or takes them again.
    pub fn pause(&self, paused: bool) {
        lock(&self.inner.state).paused = paused;
    }

    /// The connections that are in.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.inner.state).connections
    }

    /// The connections of a principal.
    #[must_use]
    pub fn count_of(&self, principal: &P) -> usize {
        let state = lock(&self.inner.state);
        state.principals.get(principal).copied().unwrap_or(0)
    }

    /// The most connections that may be in.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.inner.config.max_connections
    }

    /// How long the next client that has to come back should wait: a moment
    /// in quiet times, and spread over up to 20 s while very many come at once.
    pub fn reconnect_delay(&self) -> Duration {
        self.inner.reconnect_delay()
    }
}

impl<A, P> Inner<A, P> {
    fn refuse(&self, reason: Reason) -> Refused {
        let least = match reason {
            Reason::Rate => Duration::from_secs(1),
            Reason::Capacity | Reason::Paused => Duration::from_secs(2),
            // Another connection has to end first; that rarely takes less.
            Reason::PerPrincipal => Duration::from_secs(5),
        };
        Refused {
            reason,
            retry_after: least + self.reconnect_delay(),
        }
    }

    fn reconnect_delay(&self) -> Duration {
        const QUIET: Duration = Duration::from_secs(1);
        const LONGEST: Duration = Duration::from_secs(20);
        let rate = {
            let mut state = lock(&self.state);
            state.second.roll(self.clock.now());
            state.second.rate()
        };
        // In a storm of n times the bearable rate, n seconds bring it down to it.
        let storms = rate / self.config.storm_per_second.max(1);
        let over = (QUIET * storms.clamp(1, 20)).min(LONGEST);
        self.spread.next(over)
    }
}

impl<A: Eq + Hash, P> State<A, P> {
    /// Takes one connection from the address's allowance, by the generic cell
    /// rate algorithm: one time per address says all.
    fn takes_from(&mut self, address: A, config: &AdmissionConfig, now: Duration) -> bool {
        let interval = Duration::from_secs(1) / config.per_address_per_second.max(1);
        let tolerance = interval * config.per_address_burst.saturating_sub(1);
        if self.addresses.len() >= config.max_addresses && !self.addresses.contains_key(&address) {
            self.addresses.retain(|_, full_at| *full_at > now);
        }
        let is_full = self.addresses.len() >= config.max_addresses;
        let full_at = match self.addresses.get_mut(&address) {
            Some(full_at) => full_at,
            None if is_full => &mut self.strangers,
            None => self.addresses.entry(address).or_insert(now),
        };
        let start = (*full_at).max(now);
        if start - now > tolerance {
            return false;
        }
        *full_at = start + interval;
        true
    }
}

impl Second {
    fn roll(&mut self, now: Duration) {
        let number = now.as_secs();
        if number != self.number {
            let is_next = number == self.number + 1;
            self.before = if is_next { self.count } else { 0 };
            self.count = 0;
            self.number = number;
        }
    }

    fn count(&mut self, now: Duration) {
        self.roll(now);
        self.count = self.count.saturating_add(1);
    }

    fn rate(self) -> u32 {
        self.count.max(self.before)
    }
}

/// A connection that is in. It leaves when this is dropped.
pub struct Slot<A, P: Eq + Hash + Clone> {
    inner: Arc<Inner<A, P>>,
    principal: Option<P>,
}

impl<A, P: Eq + Hash + Clone> Slot<A, P> {
    /// Tells whose connection this is, once it has authenticated. Telling the
    /// same again, as after a token refresh, changes nothing; telling another
    /// principal moves the connection to it.
    ///
    /// # Errors
    /// [`Refused`] when the principal has as many connections as it may. The
    /// slot then still counts for whom it counted before.
    pub fn identify(&mut self, principal: P) -> Result<(), Refused> {
        if self.principal.as_ref() == Some(&principal) {
            return Ok(());
        }
        let is_over = {
            let mut state = lock(&self.inner.state);
            let count = state.principals.get(&principal).copied().unwrap_or(0);
            if count < self.inner.config.per_principal {
                state.principals.insert(principal.clone(), count + 1);
                if let Some(former) = self.principal.replace(principal) {
                    state.leave(&former);
                }
                false
            } else {
                true
            }
        };
        if is_over {
            return Err(self.inner.refuse(Reason::PerPrincipal));
        }
        Ok(())
    }

    /// Whose connection this is, if that is known.
    #[must_use]
    pub const fn principal(&self) -> Option<&P> {
        self.principal.as_ref()
    }
}

impl<A, P: Eq + Hash + Clone> State<A, P> {
    fn leave(&mut self, principal: &P) {
        if let Some(count) = self.principals.get_mut(principal) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.principals.remove(principal);
            }
        }
    }
}

impl<A, P: Eq + Hash + Clone> Drop for Slot<A, P> {
    fn drop(&mut self) {
        let mut state = lock(&self.inner.state);
        state.connections = state.connections.saturating_sub(1);
        if let Some(principal) = self.principal.take() {
            state.leave(&principal);
        }
    }
}

impl<A, P> Clone for Admission<A, P> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<A, P> fmt::Debug for Admission<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.inner.state);
        f.debug_struct("Admission")
            .field("connections", &state.connections)
            .field("paused", &state.paused)
            .finish_non_exhaustive()
    }
}

impl<A, P: Eq + Hash + Clone + fmt::Debug> fmt::Debug for Slot<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}
