//! Runs: every event exactly once and in order, for any number of readers.

use crate::now;
use mainstay_realtime::{AppendError, Read, RunEvent, RunReader, Runs, RunsConfig, StartError};
use mainstay_resilience::ManualClock;
use proptest::prelude::*;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word(String);

impl RunEvent for Word {
    fn size(&self) -> usize {
        self.0.len()
    }
}

fn word(text: &str) -> Word {
    Word(text.to_owned())
}

fn runs(config: RunsConfig) -> (Runs<u32, Word>, ManualClock) {
    let clock = ManualClock::new();
    (Runs::new(config, clock.shared()), clock)
}

fn event(seq: u64, text: &str) -> Option<Read<Word>> {
    Some(Read::Event {
        seq,
        event: word(text),
    })
}

/// Everything that the reader gives without waiting.
fn drain(reader: &mut RunReader<Word>) -> Vec<Read<Word>> {
    std::iter::from_fn(|| reader.try_next()).collect()
}

#[tokio::test]
async fn a_reader_replays_and_then_follows_to_the_end() {
    let (runs, _clock) = runs(RunsConfig::default());
    let mut writer = runs.start(1).unwrap();
    writer.append(word("a")).unwrap();
    let mut reader = runs.attach(&1, None).unwrap();
    assert_eq!(reader.next().await, event(1, "a"));
    assert_eq!(now(reader.next()), None, "waits");
    writer.append(word("b")).unwrap();
    assert_eq!(reader.next().await, event(2, "b"));
    writer.finish(word("done"));
    assert_eq!(reader.next().await, event(3, "done"));
    assert_eq!(reader.next().await, None);
    assert_eq!(reader.next().await, None, "and stays ended");
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_an_event_and_by_the_end() {
    let (runs, _clock) = runs(RunsConfig::default());
    let mut writer = runs.start(1).unwrap();
    let mut reader = writer.reader();
    let following = async {
        let mut seen = Vec::new();
        while let Some(read) = reader.next().await {
            seen.push(read);
        }
        seen
    };
    let writing = async {
        tokio::task::yield_now().await;
        writer.append(word("a")).unwrap();
        tokio::task::yield_now().await;
        writer.finish(word("b"));
    };
    let (seen, ()) = tokio::join!(following, writing);
    assert_eq!(seen, [event(1, "a").unwrap(), event(2, "b").unwrap()]);
}

#[tokio::test]
async fn coming_back_with_a_position_gives_the_rest_exactly_once() {
    let (runs, _clock) = runs(RunsConfig::default());
    let mut writer = runs.start(1).unwrap();
    for text in ["a", "b", "c"] {
        writer.append(word(text)).unwrap();
    }
    let mut reader = runs.attach(&1, Some(2)).unwrap();
    assert_eq!(reader.position(), 2);
    assert_eq!(reader.next().await, event(3, "c"));
    assert!(runs.attach(&1, Some(4)).is_none(), "never reached");
    assert!(runs.attach(&2, None).is_none(), "never started");
}

#[tokio::test]
async fn a_writer_that_goes_away_leaves_nobody_waiting() {
    let (runs, _clock) = runs(RunsConfig::default());
    let mut writer = runs.start(1).unwrap();
    writer.append(word("a")).unwrap();
    let mut early = runs.attach(&1, None).unwrap();
    drop(writer);
    let mut late = runs.attach(&1, Some(1)).unwrap();
    assert_eq!(early.next().await, event(1, "a"));
    assert_eq!(early.next().await, Some(Read::Abandoned));
    assert_eq!(early.next().await, None);
    assert_eq!(late.next().await, Some(Read::Abandoned));
}

#[tokio::test]
async fn cancelling_reaches_the_writer_and_nobody_else() {
    let (runs, _clock) = runs(RunsConfig::default());
    let writer = runs.start(1).unwrap();
    let other = runs.start(2).unwrap();
    assert_eq!(now(writer.cancelled()), None);
    assert!(runs.cancel(&1));
    writer.cancelled().await;
    assert!(writer.is_cancelled() && !other.is_cancelled());
    writer.finish(word("stopped"));
    assert!(!runs.cancel(&1), "it has ended");
    assert!(!runs.cancel(&3), "there never was one");
    runs.cancel_all();
    other.cancelled().await;
}

#[tokio::test]
async fn readers_that_leave_do_not_end_the_run_but_are_noticed() {
    let (runs, clock) = runs(RunsConfig::default());
    let mut writer = runs.start(1).unwrap();
    clock.advance(Duration::from_secs(5));
    assert_eq!(writer.unwatched_for(), Some(Duration::from_secs(5)));
    let one = runs.attach(&1, None).unwrap();
    let other = runs.attach(&1, None).unwrap();
    drop(one);
    clock.advance(Duration::from_secs(5));
    assert_eq!((writer.watchers(), writer.unwatched_for()), (1, None));
    drop(other);
    clock.advance(Duration::from_secs(7));
    assert_eq!(writer.unwatched_for(), Some(Duration::from_secs(7)));
    writer.append(word("goes on")).unwrap();
}

#[test]
fn a_key_is_used_once_and_runs_are_bounded_in_number() {
    let (runs, _clock) = runs(RunsConfig {
        max_active: 2,
        ..RunsConfig::default()
    });
    let first = runs.start(1).unwrap();
    assert_eq!(runs.start(1).unwrap_err(), StartError::Known);
    let _second = runs.start(2).unwrap();
    assert_eq!(runs.start(3).unwrap_err(), StartError::TooMany);
    first.finish(word("x"));
    assert_eq!(runs.start(1).unwrap_err(), StartError::Known);
    assert!(runs.start(3).is_ok());
}

#[test]
fn a_log_that_is_full_can_still_be_finished() {
    let (runs, _clock) = runs(RunsConfig {
        run_bytes: 10,
        ..RunsConfig::default()
    });
    let mut writer = runs.start(1).unwrap();
    writer.append(word("0123456789")).unwrap();
    assert_eq!(writer.append(word("x")), Err(AppendError));
    let mut reader = writer.reader();
    writer.finish(word("too long"));
    assert_eq!(drain(&mut reader).len(), 2);
}

#[test]
fn all_runs_together_are_bounded_and_ended_ones_give_their_share_back() {
    let (runs, _clock) = runs(RunsConfig {
        active_bytes: 10,
        ..RunsConfig::default()
    });
    let mut one = runs.start(1).unwrap();
    let mut other = runs.start(2).unwrap();
    one.append(word("0123456")).unwrap();
    assert_eq!(other.append(word("0123")), Err(AppendError));
    drop(one);
    assert!(other.append(word("0123")).is_ok());
}

#[test]
fn finished_runs_stay_for_a_while_and_within_their_bytes() {
    let (runs, clock) = runs(RunsConfig {
        finished_bytes: 10,
        keep_finished_seconds: 60,
        ..RunsConfig::default()
    });
    for key in 0..3 {
        clock.advance(Duration::from_secs(1));
        runs.start(key).unwrap().finish(word("four"));
    }
    assert!(runs.attach(&0, None).is_none(), "the first had to go");
    assert!(runs.attach(&1, None).is_some() && runs.attach(&2, None).is_some());
    assert_eq!((runs.stats().finished, runs.stats().bytes), (2, 8));
    let mut held = runs.attach(&2, None).unwrap();
    clock.advance(Duration::from_secs(60));
    assert!(runs.attach(&2, None).is_none());
    assert_eq!(runs.stats().bytes, 0);
    assert_eq!(drain(&mut held).len(), 1, "who holds it reads on");
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Attach(Option<u8>),
    Read(usize, u8),
    Detach(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..10_u8).prop_map(Step::Append),
        2 => prop::option::of(0..40_u8).prop_map(Step::Attach),
        4 => (0..8_usize, 1..6_u8).prop_map(|(reader, count)| Step::Read(reader, count)),
        1 => (0..8_usize).prop_map(Step::Detach),
    ]
}

/// A reader with what it has to see: the log from its position on.
struct Expected {
    reader: RunReader<Word>,
    next: usize,
}

proptest! {
    /// Readers against a plain list of all events, in any interleaving.
    #[test]
    fn every_reader_sees_the_rest_of_the_log_exactly_once_in_order(
        steps in prop::collection::vec(step(), 0..120),
        finishes: bool,
    ) {
        let (runs, _clock) = runs(RunsConfig::default());
        let mut writer = runs.start(1).unwrap();
        let mut log: Vec<Word> = Vec::new();
        let mut readers: Vec<Expected> = Vec::new();
        let read_one = |expected: &mut Expected, log: &[Word]| {
            let got = expected.reader.try_next();
            let should = log.get(expected.next).map(|word| Read::Event {
                seq: expected.next as u64 + 1,
                event: word.clone(),
            });
            if should.is_some() {
                expected.next += 1;
            }
            (got, should)
        };
        for step in steps {
            match step {
                Step::Append(byte) => {
                    let event = word(&byte.to_string());
                    log.push(event.clone());
                    prop_assert_eq!(writer.append(event).unwrap(), log.len() as u64);
                }
                Step::Attach(after) => {
                    let attached = runs.attach(&1, after.map(u64::from));
                    let next = usize::from(after.unwrap_or(0));
                    prop_assert_eq!(attached.is_some(), next <= log.len());
                    readers.extend(attached.map(|reader| Expected { reader, next }));
                }
                Step::Read(index, count) => if let Some(expected) = readers.get_mut(index) {
                    for _ in 0..count {
                        let (got, should) = read_one(expected, &log);
                        prop_assert_eq!(got, should);
                    }
                },
                Step::Detach(index) => if index < readers.len() {
                    readers.swap_remove(index);
                },
            }
            prop_assert_eq!(writer.watchers(), readers.len());
        }
        if finishes {
            log.push(word("end"));
            writer.finish(word("end"));
        } else {
            drop(writer);
        }
        for expected in &mut readers {
            while expected.next < log.len() {
                let (got, should) = read_one(expected, &log);
                prop_assert_eq!(got, should);
            }
            let last = now(expected.reader.next()).expect("an ended run never waits");
            prop_assert_eq!(last, (!finishes).then_some(Read::Abandoned));
            prop_assert_eq!(now(expected.reader.next()), Some(None));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_readers_on_four_threads_see_the_same() {
    const EVENTS: u64 = 2000;
    let (runs, _clock) = runs(RunsConfig::default());
    let mut writer = runs.start(1).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100_u64 {
        let runs = runs.clone();
        tasks.spawn(async move {
            // Joins somewhere on the way, at a position that exists by then.
            let mut reader = loop {
                match runs.attach(&1, Some(number * 5)) {
                    Some(reader) => break reader,
                    None => tokio::task::yield_now().await,
                }
            };
            let mut next = number * 5 + 1;
            while let Some(read) = reader.next().await {
                let event = word(&next.to_string());
                assert_eq!(read, Read::Event { seq: next, event });
                next += 1;
            }
            assert_eq!(next, EVENTS + 1);
        });
    }
    for seq in 1..EVENTS {
        writer.append(word(&seq.to_string())).unwrap();
        if seq % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    writer.finish(word(&EVENTS.to_string()));
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
}
