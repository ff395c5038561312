//! The queue in front of a socket.

use crate::now;
use mainstay_realtime::{CloseReason, Closed, Frame, Outbox, QueueConfig, SendQueue, queue};
use proptest::prelude::*;
use std::{collections::HashMap, time::Duration};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Ping(u32),
    Delta { run: u8, text: String },
    Done { run: u8 },
    Event(u32),
}

impl Frame for Sent {
    type Lane = u8;

    fn lane(&self) -> Option<u8> {
        match self {
            Self::Delta { run, .. } | Self::Done { run } => Some(*run),
            Self::Ping(_) | Self::Event(_) => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Delta { text, .. } => 10 + text.len(),
            _ => 10,
        }
    }

    fn join(&mut self, next: Self) -> Result<(), Self> {
        match (self, next) {
            (Self::Delta { text, .. }, Self::Delta { text: more, .. }) => {
                text.push_str(&more);
                Ok(())
            }
            (_, next) => Err(next),
        }
    }
}

fn delta(run: u8, text: &str) -> Sent {
    Sent::Delta {
        run,
        text: text.to_owned(),
    }
}

fn open(config: QueueConfig) -> (Outbox<Sent>, SendQueue<Sent>) {
    queue(config)
}

fn drain(queue: &mut SendQueue<Sent>) -> Vec<Sent> {
    std::iter::from_fn(|| queue.try_next()).collect()
}

#[test]
fn control_overtakes_data_and_data_keeps_its_order() {
    let (outbox, mut queue) = open(QueueConfig::default());
    outbox.data(Sent::Event(1)).unwrap();
    outbox.data(Sent::Event(2)).unwrap();
    outbox.control(Sent::Ping(1)).unwrap();
    outbox.control(Sent::Ping(2)).unwrap();
    assert_eq!(
        drain(&mut queue),
        [Sent::Ping(1), Sent::Ping(2), Sent::Event(1), Sent::Event(2)]
    );
}

#[test]
fn deltas_of_a_run_are_joined_while_they_wait_even_between_other_runs() {
    let (outbox, mut queue) = open(QueueConfig::default());
    for (run, text) in [(1, "a"), (2, "x"), (1, "b"), (2, "y"), (1, "c")] {
        outbox.data(delta(run, text)).unwrap();
    }
    assert_eq!((outbox.bytes(), outbox.joined()), (25, 3));
    assert_eq!(drain(&mut queue), [delta(1, "abc"), delta(2, "xy")]);
    outbox.data(delta(1, "d")).unwrap();
    assert_eq!(drain(&mut queue), [delta(1, "d")], "what was sent is sent");
}

#[test]
fn nothing_is_joined_across_the_end_of_a_run() {
    let (outbox, mut queue) = open(QueueConfig::default());
    outbox.data(delta(1, "a")).unwrap();
    outbox.data(Sent::Done { run: 1 }).unwrap();
    outbox.data(delta(1, "b")).unwrap();
    assert_eq!(
        drain(&mut queue),
        [delta(1, "a"), Sent::Done { run: 1 }, delta(1, "b")]
    );
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up_and_its_memory_freed() {
    let (outbox, mut queue) = open(QueueConfig {
        max_bytes: 100,
        ..QueueConfig::default()
    });
    for number in 0..10 {
        outbox.data(Sent::Event(number)).unwrap();
    }
    let slow = Err(Closed {
        reason: CloseReason::Slow,
    });
    assert_eq!(outbox.data(Sent::Event(10)), slow);
    assert_eq!(outbox.data(Sent::Event(11)), slow);
    assert_eq!(outbox.control(Sent::Ping(1)), slow);
    assert_eq!(outbox.bytes(), 0);
    assert_eq!(queue.next().await, None);
    assert_eq!(queue.close_reason(), Some(CloseReason::Slow));
    assert_eq!(outbox.closed().await, CloseReason::Slow);
}

#[test]
fn joined_text_counts_towards_the_bound() {
    let (outbox, _queue) = open(QueueConfig {
        max_bytes: 100,
        ..QueueConfig::default()
    });
    for _ in 0..9 {
        outbox.data(delta(1, "0123456789")).unwrap();
    }
    assert!(outbox.data(delta(1, "x")).is_err());
}

#[test]
fn frames_and_control_are_bounded_in_number() {
    let config = QueueConfig {
        max_frames: 3,
        max_control: 2,
        ..QueueConfig::default()
    };
    let (outbox, _queue) = open(config);
    let accepted = (0..10)
        .filter(|n| outbox.data(Sent::Event(*n)).is_ok())
        .count();
    assert_eq!(accepted, 3);
    let (outbox, _queue) = open(config);
    let accepted = (0..10)
        .filter(|n| outbox.control(Sent::Ping(*n)).is_ok())
        .count();
    assert_eq!(accepted, 2);
}

#[tokio::test]
async fn an_orderly_close_sends_what_waits() {
    let (outbox, mut queue) = open(QueueConfig::default());
    outbox.data(Sent::Event(1)).unwrap();
    outbox.close();
    assert_eq!(
        outbox.data(Sent::Event(2)),
        Err(Closed {
            reason: CloseReason::Done
        })
    );
    assert_eq!(queue.next().await, Some(Sent::Event(1)));
    assert_eq!(queue.next().await, None);
}

#[tokio::test]
async fn a_socket_that_goes_away_is_noticed_by_those_who_wait() {
    let (outbox, queue) = open(QueueConfig::default());
    outbox.data(Sent::Event(1)).unwrap();
    let leaving = async {
        tokio::task::yield_now().await;
        drop(queue);
    };
    let (reason, ()) = tokio::join!(outbox.closed(), leaving);
    assert_eq!(reason, CloseReason::Gone);
    assert_eq!(outbox.bytes(), 0);
}

#[tokio::test]
async fn a_waiting_writer_is_woken_by_data_and_by_the_end() {
    let (outbox, mut queue) = open(QueueConfig::default());
    assert_eq!(now(queue.next()), None);
    let putting = async {
        tokio::task::yield_now().await;
        outbox.data(Sent::Event(1)).unwrap();
    };
    let (frame, ()) = tokio::join!(queue.next(), putting);
    assert_eq!(frame, Some(Sent::Event(1)));
    let closing = async {
        tokio::task::yield_now().await;
        outbox.close();
    };
    let (frame, ()) = tokio::join!(queue.next(), closing);
    assert_eq!(frame, None);
}

#[tokio::test(start_paused = true)]
async fn under_load_deltas_are_joined_for_a_while_and_control_never_waits() {
    let started = tokio::time::Instant::now();
    let (outbox, mut queue) = open(QueueConfig::default());
    outbox.set_pace(Some(Duration::from_millis(100)));
    outbox.data(delta(1, "a")).unwrap();
    assert_eq!(queue.next().await, Some(delta(1, "a")), "the first at once");
    outbox.data(delta(1, "b")).unwrap();
    assert_eq!(now(queue.next()), None);
    outbox.control(Sent::Ping(1)).unwrap();
    assert_eq!(queue.next().await, Some(Sent::Ping(1)));
    assert!(started.elapsed() < Duration::from_millis(100));
    outbox.data(delta(1, "c")).unwrap();
    assert_eq!(queue.next().await, Some(delta(1, "bc")));
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert!(started.elapsed() < Duration::from_millis(200));
    outbox.data(delta(1, "d")).unwrap();
    outbox.close();
    assert_eq!(
        queue.next().await,
        Some(delta(1, "d")),
        "the end is not held up"
    );
    assert_eq!(queue.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn ten_frames_a_second_carry_any_number_of_deltas() {
    let started = tokio::time::Instant::now();
    let (outbox, mut queue) = open(QueueConfig::default());
    outbox.set_pace(Some(Duration::from_millis(100)));
    let writing = async {
        for _ in 0..1000 {
            outbox.data(delta(1, "x")).unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        outbox.close();
    };
    let sending = async {
        let (mut frames, mut text) = (0, String::new());
        while let Some(frame) = queue.next().await {
            frames += 1;
            if let Sent::Delta { text: more, .. } = frame {
                text.push_str(&more);
            }
        }
        (frames, text.len())
    };
    let ((frames, length), ()) = tokio::join!(sending, writing);
    assert_eq!(length, 1000);
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert!(frames <= 22, "{frames}");
}

#[derive(Debug, Clone)]
enum Step {
    Delta(u8, String),
    Done(u8),
    Event,
    Ping,
    Take(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, "[a-z]{0,8}").prop_map(|(run, text)| Step::Delta(run, text)),
        1 => (0..4_u8).prop_map(Step::Done),
        2 => Just(Step::Event),
        1 => Just(Step::Ping),
        4 => (1..5_u8).prop_map(Step::Take),
    ]
}

/// The text of each run so far, with its ends.
fn texts(frames: &[Sent]) -> HashMap<u8, String> {
    let mut texts: HashMap<u8, String> = HashMap::new();
    for frame in frames {
        match frame {
            Sent::Delta { run, text } => texts.entry(*run).or_default().push_str(text),
            Sent::Done { run } => texts.entry(*run).or_default().push('|'),
            Sent::Event(_) | Sent::Ping(_) => {}
        }
    }
    texts
}

proptest! {
    /// Against the list of all that was put: joined or not, every run's text
    /// and every event arrives once and in order, and the bytes are right.
    #[test]
    fn nothing_is_lost_repeated_or_reordered(steps in prop::collection::vec(step(), 0..200)) {
        let (outbox, mut queue) = open(QueueConfig {
            max_bytes: usize::MAX,
            max_frames: usize::MAX,
            max_control: usize::MAX,
        });
        let (mut put, mut got) = (Vec::new(), Vec::new());
        let mut number = 0;
        for step in steps {
            number += 1;
            let frame = match step {
                Step::Delta(run, text) => Sent::Delta { run, text },
                Step::Done(run) => Sent::Done { run },
                Step::Event => Sent::Event(number),
                Step::Ping => {
                    outbox.control(Sent::Ping(number)).unwrap();
                    prop_assert_eq!(queue.try_next(), Some(Sent::Ping(number)));
                    continue;
                }
                Step::Take(count) => {
                    got.extend((0..count).filter_map(|_| queue.try_next()));
                    continue;
                }
            };
            put.push(frame.clone());
            outbox.data(frame).unwrap();
        }
        let waiting = drain(&mut queue);
        prop_assert_eq!(outbox.bytes(), 0);
        got.extend(waiting);
        prop_assert_eq!(texts(&got), texts(&put));
        let events = |frames: &[Sent]| -> Vec<Sent> {
            frames.iter().filter(|f| matches!(f, Sent::Event(_))).cloned().collect()
        };
        prop_assert_eq!(events(&got), events(&put));
        prop_assert_eq!(put.len() as u64 - outbox.joined(), got.len() as u64);
    }
}
