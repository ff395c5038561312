//! Topics: in order, resumable, and never a silent gap.

use crate::now;
use mainstay_realtime::{
    Delivery, Epoch, Hub, HubConfig, Listener, Position, SubscribeError, Subscribed,
};
use mainstay_resilience::ManualClock;
use proptest::prelude::*;
use std::time::Duration;

fn hub(config: HubConfig) -> (Hub, ManualClock) {
    let clock = ManualClock::new();
    (Hub::new(config, clock.shared()), clock)
}

fn drain(listener: &mut Listener) -> Vec<Delivery> {
    std::iter::from_fn(|| listener.try_next()).collect()
}

/// What was delivered, as numbers: events as they are, gaps as pairs.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Seen {
    Event(u64),
    Gap(u64, u64),
}

fn seen(delivery: &Delivery) -> Seen {
    match delivery {
        Delivery::Event(event) => Seen::Event(event.position.seq),
        Delivery::Lagged { from, to, .. } => Seen::Gap(*from, *to),
    }
}

fn all_seen(listener: &mut Listener) -> Vec<Seen> {
    drain(listener).iter().map(seen).collect()
}

#[tokio::test]
async fn who_listens_hears_and_who_does_not_costs_nothing() {
    let (hub, _clock) = hub(HubConfig::default());
    assert_eq!(hub.publish("t", "k", "lost"), None);
    let (subscribed, mut listener) = hub.subscribe("t", None).unwrap();
    assert_eq!((subscribed.seq, subscribed.recovered), (0, true));
    let position = hub.publish("t", "kind", "data").unwrap();
    let Some(Delivery::Event(event)) = listener.next().await else {
        panic!("an event was published")
    };
    assert_eq!(event.position, position);
    assert_eq!(
        (&*event.topic, &*event.kind, &event.data[..]),
        ("t", "kind", &b"data"[..])
    );
    assert_eq!(now(listener.next()), None);
}

#[tokio::test]
async fn a_waiting_listener_is_woken() {
    let (hub, _clock) = hub(HubConfig::default());
    let (_, mut listener) = hub.subscribe("t", None).unwrap();
    let publishing = async {
        tokio::task::yield_now().await;
        hub.publish("t", "k", "x")
    };
    let (delivery, position) = tokio::join!(listener.next(), publishing);
    assert_eq!(seen(&delivery.unwrap()), Seen::Event(position.unwrap().seq));
}

#[test]
fn coming_back_in_time_recovers_everything_and_too_late_says_so() {
    let (hub, clock) = hub(HubConfig {
        history_events: 3,
        history_seconds: 60,
        ..HubConfig::default()
    });
    let (_, listener) = hub.subscribe("t", None).unwrap();
    let first = hub.publish("t", "k", "1").unwrap();
    drop(listener);
    for _ in 2..=4 {
        hub.publish("t", "k", "n").unwrap();
    }
    let (subscribed, mut listener) = hub.subscribe("t", Some(first)).unwrap();
    assert_eq!((subscribed.seq, subscribed.recovered), (1, true));
    assert_eq!(all_seen(&mut listener), [2, 3, 4].map(Seen::Event));

    hub.publish("t", "k", "5").unwrap();
    let (subscribed, mut late) = hub.subscribe("t", Some(first)).unwrap();
    assert_eq!(
        (subscribed.seq, subscribed.recovered),
        (5, false),
        "2 is gone"
    );
    assert_eq!(all_seen(&mut late), []);

    clock.advance(Duration::from_secs(60));
    let at_four = Position { seq: 4, ..first };
    hub.publish("t", "k", "6").unwrap();
    let (subscribed, _) = hub.subscribe("t", Some(at_four)).unwrap();
    assert!(!subscribed.recovered, "5 is too old");
}

#[test]
fn a_position_of_another_life_or_of_the_future_recovers_nothing() {
    let (hub, _clock) = hub(HubConfig::default());
    let (_, _listener) = hub.subscribe("t", None).unwrap();
    let here = hub.publish("t", "k", "1").unwrap();
    let epoch: Epoch = "00000000deadbeef".parse().unwrap();
    for bad in [
        Position { epoch, seq: 0 },
        Position { seq: 2, ..here },
        Position {
            seq: u64::MAX,
            ..here
        },
    ] {
        let (subscribed, mut listener) = hub.subscribe("t", Some(bad)).unwrap();
        assert_eq!((subscribed.seq, subscribed.recovered), (1, false));
        assert_eq!(all_seen(&mut listener), []);
    }
}

#[test]
fn a_forgotten_topic_begins_a_new_life() {
    let (hub, clock) = hub(HubConfig::default());
    let (first_life, listener) = hub.subscribe("t", None).unwrap();
    let position = hub.publish("t", "k", "1").unwrap();
    drop(listener);
    clock.advance(Duration::from_secs(299));
    hub.collect();
    assert_eq!(hub.stats().topics, 1);
    clock.advance(Duration::from_secs(1));
    hub.collect();
    assert_eq!((hub.stats().topics, hub.stats().bytes), (0, 0));
    let (second_life, _) = hub.subscribe("t", Some(position)).unwrap();
    assert_ne!(second_life.epoch, first_life.epoch);
    assert!(!second_life.recovered);
}

#[test]
fn a_slow_listener_is_told_what_it_lost_and_goes_on() {
    let (hub, _clock) = hub(HubConfig {
        history_events: 3,
        ..HubConfig::default()
    });
    let (_, mut slow) = hub.subscribe("t", None).unwrap();
    let (_, mut quick) = hub.subscribe("t", None).unwrap();
    let mut quickly = Vec::new();
    for _ in 0..10 {
        hub.publish("t", "k", "x").unwrap();
        quickly.extend(all_seen(&mut quick));
    }
    assert_eq!(quickly, (1..=10).map(Seen::Event).collect::<Vec<_>>());
    assert_eq!(
        all_seen(&mut slow),
        [
            Seen::Gap(1, 7),
            Seen::Event(8),
            Seen::Event(9),
            Seen::Event(10)
        ]
    );
    assert_eq!(hub.stats().lagged, 7);
}

#[test]
fn a_busy_topic_does_not_hold_back_the_others() {
    let (hub, _clock) = hub(HubConfig::default());
    let mut listener = hub.listener();
    listener.subscribe("busy", None).unwrap();
    listener.subscribe("quiet", None).unwrap();
    drain(&mut listener);
    for _ in 0..100 {
        hub.publish("busy", "k", "x").unwrap();
    }
    hub.publish("quiet", "k", "x").unwrap();
    let topics: Vec<String> = drain(&mut listener)
        .iter()
        .filter_map(|delivery| match delivery {
            Delivery::Event(event) => Some(event.topic.to_string()),
            Delivery::Lagged { .. } => None,
        })
        .collect();
    assert_eq!(topics.len(), 101);
    assert_eq!(topics.iter().position(|topic| topic == "quiet"), Some(1));
}

#[test]
fn leaving_a_topic_is_at_once_and_coming_back_is_exact() {
    let (hub, _clock) = hub(HubConfig::default());
    let (_, mut listener) = hub.subscribe("t", None).unwrap();
    hub.publish("t", "k", "1").unwrap();
    assert!(listener.unsubscribe("t"));
    assert!(!listener.unsubscribe("t"));
    assert_eq!(all_seen(&mut listener), [], "although it was waiting");
    assert_eq!(hub.listeners("t"), 0);
    let head = hub.publish("t", "k", "2").unwrap();
    let again = listener
        .subscribe("t", Some(Position { seq: 0, ..head }))
        .unwrap();
    assert_eq!(
        again,
        Subscribed {
            epoch: head.epoch,
            seq: 0,
            recovered: true
        }
    );
    assert_eq!(all_seen(&mut listener), [1, 2].map(Seen::Event));
}

#[test]
fn names_and_numbers_are_bounded() {
    let (hub, _clock) = hub(HubConfig {
        max_topics: 3,
        max_per_listener: 2,
        max_name_bytes: 10,
        ..HubConfig::default()
    });
    let mut listener = hub.listener();
    for bad in [String::new(), "x".repeat(11), "x".repeat(1 << 20)] {
        assert_eq!(listener.subscribe(&bad, None), Err(SubscribeError::BadName));
    }
    listener.subscribe("a", None).unwrap();
    listener.subscribe("a", None).unwrap();
    listener.subscribe("b", None).unwrap();
    assert_eq!(
        listener.subscribe("c", None),
        Err(SubscribeError::TooManySubscriptions)
    );
    let mut other = hub.listener();
    other.subscribe("c", None).unwrap();
    assert_eq!(
        other.subscribe("d", None),
        Err(SubscribeError::TooManyTopics)
    );
    assert_eq!(hub.stats().topics, 3);
}

#[test]
fn a_storm_of_subscriptions_leaves_nothing_behind() {
    let (hub, _clock) = hub(HubConfig::default());
    let mut listener = hub.listener();
    for _ in 0..10_000 {
        listener.subscribe("t", None).unwrap();
        listener.unsubscribe("t");
    }
    assert_eq!((hub.listeners("t"), hub.stats().subscriptions), (0, 0));
    assert!(drain(&mut listener).is_empty());
}

#[test]
fn history_is_bounded_in_bytes_per_topic_and_in_all() {
    let (hub, _clock) = hub(HubConfig {
        history_bytes: 10_000,
        total_bytes: 100_000,
        ..HubConfig::default()
    });
    let mut listeners = Vec::new();
    for number in 0..50 {
        let topic = format!("t{number}");
        listeners.push(hub.subscribe(&topic, None).unwrap().1);
        for _ in 0..20 {
            hub.publish(&topic, "k", vec![0; 1000]).unwrap();
        }
        assert!(hub.stats().bytes <= 100_000, "{:?}", hub.stats());
    }
    // The newest event of a topic is kept whatever its size, within the whole.
    let position = hub.publish("t49", "k", vec![0; 50_000]).unwrap();
    let last = listeners
        .pop()
        .and_then(|mut listener| drain(&mut listener).pop());
    assert_eq!(last.as_ref().map(seen), Some(Seen::Event(position.seq)));
}

#[tokio::test]
async fn closing_ends_every_listener() {
    let (hub, _clock) = hub(HubConfig::default());
    let (_, mut idle) = hub.subscribe("t", None).unwrap();
    let (_, mut waiting) = hub.subscribe("t", None).unwrap();
    hub.publish("t", "k", "last").unwrap();
    waiting.next().await.unwrap();
    let closing = async {
        tokio::task::yield_now().await;
        hub.close();
    };
    let (end, ()) = tokio::join!(waiting.next(), closing);
    assert_eq!(end, None);
    assert_eq!(
        seen(&idle.next().await.unwrap()),
        Seen::Event(1),
        "what is left"
    );
    assert_eq!(idle.next().await, None);
    assert_eq!(hub.publish("t", "k", "x"), None);
    assert_eq!(
        hub.subscribe("t", None).unwrap_err(),
        SubscribeError::Closed
    );
}

#[derive(Debug, Clone)]
enum Step {
    Publish(u8),
    Subscribe(Option<u8>),
    Read(usize, u8),
    Leave(usize),
    Advance(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..5_u8).prop_map(Step::Publish),
        2 => prop::option::of(0..30_u8).prop_map(Step::Subscribe),
        4 => (0..6_usize, 1..8_u8).prop_map(|(listener, count)| Step::Read(listener, count)),
        1 => (0..6_usize).prop_map(Step::Leave),
        1 => (0..40_u8).prop_map(Step::Advance),
    ]
}

/// A listener with the number of the last event that it was told of.
struct Expected {
    listener: Listener,
    cursor: u64,
}

const EVENTS: u64 = 8;
const SECONDS: u64 = 60;

proptest! {
    /// Listeners against a plain list of all events with their times. What a
    /// listener sees must continue where it stood, event by event or by a gap
    /// that names exactly the events that the bounds have taken.
    #[test]
    fn what_is_seen_is_whole_or_told(steps in prop::collection::vec(step(), 0..150)) {
        let (hub, clock) = hub(HubConfig {
            history_events: EVENTS as usize,
            history_seconds: SECONDS,
            ..HubConfig::default()
        });
        let (_, _anchor) = hub.subscribe("t", None).unwrap();
        let epoch = hub.position("t").unwrap().epoch;
        let mut head = 0_u64;
        let mut listeners: Vec<Expected> = Vec::new();
        for step in steps {
            match step {
                Step::Publish(count) => for _ in 0..count {
                    head += 1;
                    let position = hub.publish("t", "k", head.to_string()).unwrap();
                    prop_assert_eq!(position, Position { epoch, seq: head });
                },
                Step::Subscribe(after) => {
                    let after = after.map(|seq| Position { epoch, seq: seq.into() });
                    let (subscribed, listener) = hub.subscribe("t", after).unwrap();
                    match after {
                        Some(after) if subscribed.recovered => prop_assert_eq!(subscribed.seq, after.seq),
                        _ => prop_assert_eq!(subscribed.seq, head),
                    }
                    listeners.push(Expected { listener, cursor: subscribed.seq });
                }
                Step::Read(index, count) => if let Some(expected) = listeners.get_mut(index) {
                    for _ in 0..count {
                        let Some(delivery) = expected.listener.try_next() else {
                            prop_assert_eq!(expected.cursor, head, "nothing is held back");
                            break;
                        };
                        match seen(&delivery) {
                            Seen::Event(seq) => {
                                prop_assert_eq!(seq, expected.cursor + 1);
                                expected.cursor = seq;
                            }
                            Seen::Gap(from, to) => {
                                prop_assert_eq!(from, expected.cursor + 1);
                                prop_assert!(to >= from && to <= head);
                                expected.cursor = to;
                            }
                        }
                        if let Delivery::Event(event) = delivery {
                            let data = event.position.seq.to_string();
                            prop_assert_eq!(&event.data[..], data.as_bytes());
                        }
                    }
                },
                Step::Leave(index) => if index < listeners.len() {
                    listeners.swap_remove(index);
                },
                Step::Advance(seconds) => clock.advance(Duration::from_secs(seconds.into())),
            }
            prop_assert_eq!(hub.listeners("t"), listeners.len() + 1);
        }
    }

    /// Whoever comes back within the bounds is always recovered.
    #[test]
    fn nothing_is_forgotten_within_the_bounds(before in 0..20_u64, missed in 0..=EVENTS, away in 0..SECONDS) {
        let (hub, clock) = hub(HubConfig {
            history_events: EVENTS as usize,
            history_seconds: SECONDS,
            ..HubConfig::default()
        });
        let (subscribed, listener) = hub.subscribe("t", None).unwrap();
        for _ in 0..before {
            hub.publish("t", "k", "x").unwrap();
        }
        drop(listener);
        for _ in 0..missed {
            hub.publish("t", "k", "x").unwrap();
        }
        clock.advance(Duration::from_secs(away));
        hub.collect();
        let position = Position { epoch: subscribed.epoch, seq: before };
        let (again, mut listener) = hub.subscribe("t", Some(position)).unwrap();
        prop_assert!(again.recovered);
        let expected: Vec<Seen> = (before + 1..=before + missed).map(Seen::Event).collect();
        prop_assert_eq!(all_seen(&mut listener), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn listeners_on_four_threads_see_everything_or_are_told() {
    const TOTAL: u64 = 5000;
    let (hub, _clock) = hub(HubConfig::default());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (_, mut listener) = hub.subscribe("t", None).unwrap();
        tasks.spawn(async move {
            let mut next = 1;
            while next <= TOTAL {
                match seen(&listener.next().await.unwrap()) {
                    Seen::Event(seq) => {
                        assert_eq!(seq, next);
                        next += 1;
                    }
                    Seen::Gap(from, to) => {
                        assert_eq!(from, next);
                        next = to + 1;
                    }
                }
            }
        });
    }
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let hub = hub.clone();
            tokio::task::spawn_blocking(move || {
                for _ in 0..TOTAL / 4 {
                    hub.publish("t", "k", "x").unwrap();
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
}
