//! Who is there: the members of a topic, each counted once however many
//! connections it has.

use crate::{hub::Hub, lock::lock};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex},
};

/// The kind of the event that tells of a member who came.
pub const JOINED: &str = "presence.joined";
/// The kind of the event that tells of a member who left.
pub const LEFT: &str = "presence.left";

/// Keeps the members of topics and tells those who listen when somebody comes
/// or goes: the event's data is the member. Cheap to clone.
#[derive(Clone)]
pub struct Presence {
    inner: Arc<Inner>,
}

struct Inner {
    hub: Hub,
    max_members: usize,
    topics: Mutex<HashMap<String, BTreeMap<String, usize>>>,
}

/// The topic has as many members as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyMembers;

impl fmt::Display for TooManyMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many members are present")
    }
}

impl std::error::Error for TooManyMembers {}

impl Presence {
    /// Nobody is there. A topic may have `max_members` different members.
    #[must_use]
    pub fn new(hub: Hub, max_members: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                hub,
                max_members,
                topics: Mutex::default(),
            }),
        }
    }

    /// `member` is present in `topic` as long as the guard is held.
    ///
    /// # Errors
    /// [`TooManyMembers`] when it would be one more than allowed.
    pub fn join(&self, topic: &str, member: &str) -> Result<Present, TooManyMembers> {
        let inner = &self.inner;
        {
            let mut topics = lock(&inner.topics);
            let members = topics.entry(topic.to_owned()).or_default();
            let count = members.get(member).copied().unwrap_or(0);
            if count == 0 && members.len() >= inner.max_members {
                if members.is_empty() {
                    topics.remove(topic);
                }
                return Err(TooManyMembers);
            }
            members.insert(member.to_owned(), count + 1);
            if count == 0 {
                // Told under the lock, so that comings and goings of one
                // member are heard in the order in which they happened.
                inner.hub.publish(topic, JOINED, member.to_owned());
            }
        }
        Ok(Present {
            inner: Arc::clone(inner),
            topic: topic.to_owned(),
            member: member.to_owned(),
        })
    }

    /// Who is present, sorted.
    #[must_use]
    pub fn members(&self, topic: &str) -> Vec<String> {
        let topics = lock(&self.inner.topics);
        let members = topics.get(topic);
        members.map_or_else(Vec::new, |members| members.keys().cloned().collect())
    }
}

/// Somebody who is present, until this is dropped.
pub struct Present {
    inner: Arc<Inner>,
    topic: String,
    member: String,
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut topics = lock(&self.inner.topics);
        let Some(members) = topics.get_mut(&self.topic) else {
            return;
        };
        let Some(count) = members.get_mut(&self.member) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            members.remove(&self.member);
            if members.is_empty() {
                topics.remove(&self.topic);
            }
            let member = std::mem::take(&mut self.member);
            self.inner.hub.publish(&self.topic, LEFT, member);
        }
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence")
            .field("topics", &lock(&self.inner.topics).len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Present")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Delivery, HubConfig, Listener};
    use mainstay_resilience::ManualClock;
    use proptest::prelude::*;

    fn presence(max_members: usize) -> (Presence, Listener) {
        let hub = Hub::new(HubConfig::default(), ManualClock::new().shared());
        let (_, listener) = hub.subscribe("room", None).unwrap();
        (Presence::new(hub, max_members), listener)
    }

    fn heard(listener: &mut Listener) -> Vec<(String, String)> {
        std::iter::from_fn(|| listener.try_next())
            .filter_map(|delivery| match delivery {
                Delivery::Event(event) => Some((
                    event.kind.to_string(),
                    String::from_utf8(event.data.to_vec()).unwrap(),
                )),
                Delivery::Lagged { .. } => None,
            })
            .collect()
    }

    #[test]
    fn a_member_with_two_connections_comes_and_goes_once() {
        let (presence, mut listener) = presence(10);
        let one = presence.join("room", "ada").unwrap();
        let other = presence.join("room", "ada").unwrap();
        assert_eq!(presence.members("room"), ["ada"]);
        drop(one);
        assert_eq!(
            heard(&mut listener),
            [(JOINED.to_owned(), "ada".to_owned())]
        );
        drop(other);
        assert_eq!(heard(&mut listener), [(LEFT.to_owned(), "ada".to_owned())]);
        assert!(presence.members("room").is_empty());
        assert!(
            lock(&presence.inner.topics).is_empty(),
            "nothing is left behind"
        );
    }

    #[test]
    fn members_are_bounded() {
        let (presence, _listener) = presence(1);
        let held = presence.join("room", "ada").unwrap();
        assert_eq!(presence.join("room", "bob").unwrap_err(), TooManyMembers);
        assert!(presence.join("room", "ada").is_ok());
        drop(held);
        assert!(presence.join("room", "bob").is_ok());
        let (nobody, _listener) = super::tests::presence(0);
        assert!(nobody.join("room", "ada").is_err());
        assert!(lock(&nobody.inner.topics).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_heard_adds_up_to_who_is_there(steps in prop::collection::vec((0..3_u8, any::<bool>()), 0..60)) {
            let (presence, mut listener) = presence(10);
            let mut held: Vec<Present> = Vec::new();
            let mut there = Vec::new();
            for (who, joins) in steps {
                if joins {
                    held.push(presence.join("room", &who.to_string()).unwrap());
                } else if usize::from(who) < held.len() {
                    held.swap_remove(usize::from(who));
                }
                for (kind, member) in heard(&mut listener) {
                    if kind == JOINED {
                        there.push(member);
                    } else {
                        there.retain(|m| *m != member);
                    }
                }
                there.sort();
                prop_assert_eq!(&presence.members("room"), &there);
            }
        }
    }
}
