//! What was revoked before it expired.
//!
//! Every instance polls the revocations of the last minutes from the
//! database and feeds them in here; the check itself takes no lock. An entry
//! is needed only as long as a token issued before it can still be alive.

use arc_swap::ArcSwap;
use jiff::Timestamp;
use mainstay_domain::{Principal, SessionId, UserId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// One revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// A session ended: logged out, or its refresh token was used twice.
    Session {
        /// The session.
        session_id: SessionId,
        /// When it ended.
        at: Timestamp,
    },
    /// Everything issued to a person until then: a changed password or role,
    /// a disabled account, an erasure.
    User {
        /// The person.
        user_id: UserId,
        /// Tokens issued until this moment are refused.
        at: Timestamp,
    },
}

#[derive(Debug, Clone)]
struct Known {
    sessions: HashMap<SessionId, Timestamp>,
    users: HashMap<UserId, Timestamp>,
    /// Everything issued until this moment is refused.
    floor: Timestamp,
}

/// The revocations that still matter, bounded in number.
#[derive(Debug)]
pub struct Revocations {
    known: ArcSwap<Known>,
    /// Held while a new set is built, so that two feeds never lose entries.
    feeding: Mutex<()>,
    keep: Duration,
    capacity: usize,
}

impl Revocations {
    /// The default of how many revocations are held.
    pub const DEFAULT_CAPACITY: usize = 100_000;

    /// Holds revocations for `keep`, which must be longer than access tokens
    /// live, and at most `capacity` of them. When there are more, nobody is
    /// let in by mistake: every token issued before the youngest forgotten
    /// revocation is refused and its holder has to refresh.
    #[must_use]
    pub fn new(keep: Duration, capacity: usize) -> Self {
        Self {
            known: ArcSwap::from_pointee(Known {
                sessions: HashMap::new(),
                users: HashMap::new(),
                floor: Timestamp::MIN,
            }),
            feeding: Mutex::new(()),
            keep,
            capacity,
        }
    }

    /// Adds revocations and forgets those that no living token is older than.
    /// Feeding the same revocation again changes nothing.
    pub fn feed(&self, revocations: impl IntoIterator<Item = Revocation>, now: Timestamp) {
        let _feeding = self.feeding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut revocations = revocations.into_iter().peekable();
        let oldest = now.checked_sub(self.keep).unwrap_or(Timestamp::MIN);
        let current = self.known.load();
        let is_stale = |at: &Timestamp| *at < oldest;
        if revocations.peek().is_none()
            && !current.sessions.values().any(is_stale)
            && !current.users.values().any(is_stale)
        {
            return;
        }
        let mut next = Known::clone(&current);
        for revocation in revocations {
            next.add(revocation);
        }
        next.sessions.retain(|_, at| *at >= oldest);
        next.users.retain(|_, at| *at >= oldest);
        next.shrink_to(self.capacity);
        self.known.store(Arc::new(next));
    }

    /// Whether a token of `principal` issued at `issued_at` was revoked.
    #[must_use]
    pub fn is_revoked(&self, principal: &Principal, issued_at: Timestamp) -> bool {
        let known = self.known.load();
        issued_at <= known.floor
            // An ended session never lives again, so the time does not matter.
            || known.sessions.contains_key(&principal.session_id)
            || known
                .users
                .get(&principal.user_id)
                .is_some_and(|at| issued_at <= *at)
    }

    /// How many revocations are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.load().len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Known {
    fn len(&self) -> usize {
        self.sessions.len() + self.users.len()
    }

    fn add(&mut self, revocation: Revocation) {
        let (entry, at) = match revocation {
            Revocation::Session { session_id, at } => {
                (self.sessions.entry(session_id).or_insert(at), at)
            }
            Revocation::User { user_id, at } => (self.users.entry(user_id).or_insert(at), at),
        };
        *entry = (*entry).max(at);
    }

    /// Drops the oldest entries over `capacity` and raises the floor to the
    /// youngest of them.
    fn shrink_to(&mut self, capacity: usize) {
        let excess = self.len().saturating_sub(capacity);
        if excess == 0 {
            return;
        }
        let mut times: Vec<Timestamp> = self
            .sessions
            .values()
            .chain(self.users.values())
            .copied()
            .collect();
        let (_, cut, _) = times.select_nth_unstable(excess - 1);
        self.floor = self.floor.max(*cut);
        let floor = self.floor;
        self.sessions.retain(|_, at| *at > floor);
        self.users.retain(|_, at| *at > floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_domain::{Role, WorkspaceId};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn principal() -> Principal {
        Principal {
            user_id: UserId::at(at(0)),
            workspace_id: WorkspaceId::at(at(0)),
            role: Role::Member,
            session_id: SessionId::at(at(0)),
        }
    }

    fn revocations() -> Revocations {
        Revocations::new(Duration::from_secs(900), 1000)
    }

    fn session(principal: &Principal, second: i64) -> Revocation {
        Revocation::Session {
            session_id: principal.session_id,
            at: at(second),
        }
    }

    fn user(principal: &Principal, second: i64) -> Revocation {
        Revocation::User {
            user_id: principal.user_id,
            at: at(second),
        }
    }

    #[test]
    fn an_ended_session_is_refused_and_its_neighbour_is_not() {
        let (gone, stays) = (principal(), principal());
        let revocations = revocations();
        revocations.feed([session(&gone, 10)], at(10));
        assert!(revocations.is_revoked(&gone, at(5)));
        assert!(
            revocations.is_revoked(&gone, at(15)),
            "it never lives again"
        );
        assert!(!revocations.is_revoked(&stays, at(5)));
    }

    #[test]
    fn after_a_password_change_only_newer_tokens_count() {
        let person = principal();
        let revocations = revocations();
        revocations.feed([user(&person, 10)], at(10));
        assert!(revocations.is_revoked(&person, at(10)));
        let a_millisecond_later = at(10).saturating_add(Duration::from_millis(1)).unwrap();
        assert!(!revocations.is_revoked(&person, a_millisecond_later));
    }

    #[test]
    fn the_latest_revocation_of_a_person_counts() {
        let person = principal();
        let revocations = revocations();
        revocations.feed([user(&person, 20), user(&person, 10)], at(20));
        assert!(revocations.is_revoked(&person, at(15)));
    }

    #[test]
    fn entries_leave_when_no_token_can_be_older() {
        let person = principal();
        let revocations = revocations();
        revocations.feed([session(&person, 10)], at(10));
        revocations.feed([], at(910));
        assert_eq!(revocations.len(), 1);
        revocations.feed([], at(911));
        assert!(revocations.is_empty());
    }

    #[test]
    fn too_many_revocations_refuse_more_and_never_less() {
        let revocations = Revocations::new(Duration::from_secs(900), 10);
        let people: Vec<_> = (0..100).map(|_| principal()).collect();
        let all = people.iter().zip(0..).map(|(p, second)| session(p, second));
        revocations.feed(all, at(100));
        assert!(revocations.len() <= 10);
        for (person, revoked) in people.iter().zip(0..) {
            assert!(revocations.is_revoked(person, at(revoked)));
        }
        let newcomer = principal();
        assert!(revocations.is_revoked(&newcomer, at(50)), "has to refresh");
        assert!(!revocations.is_revoked(&newcomer, at(100)));
    }
}
