//! Random schedules against a model: whatever happens to loads, tiers and
//! clocks, nobody gets a value older than it may be.

#![expect(
    clippy::disallowed_methods,
    reason = "callers of a test run on the test's runtime"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_resilience::{Clock, ManualClock};
use proptest::prelude::*;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    Cache, Cached, Key, LoadError, Loaded, Options, Tier, WarmConfig,
    warm::faulty::{Fault, Faults},
};

const KEYS: usize = 3;
const TTL: Duration = Duration::from_secs(60);
const STALE_IF_ERROR: Duration = Duration::from_secs(120);
const STALE_WHILE_REVALIDATE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
enum Step {
    /// Somebody asks, with a loader that waits to be told its end.
    Ask(usize),
    /// A load under way ends.
    End(usize, End),
    /// Somebody who asked goes away.
    Cancel(usize),
    /// The source changes, and the key is invalidated.
    Invalidate(usize),
    /// All sources change, and their common tag is invalidated.
    InvalidateTag,
    /// All sources change, and everything is dropped.
    Clear,
    /// The source changes, and the new value is put.
    Put(usize),
    /// Somebody only looks.
    Get(usize),
    Advance(u64),
    /// Memory forgets.
    Evict,
    Fault(Fault),
    Maintain,
    /// The process ends in order and begins again.
    Restart,
    /// Background work gets its time.
    Settle,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Success,
    Failure,
    Absent,
    Panic,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    prop_oneof![
        8 => key.clone().prop_map(Step::Ask),
        8 => (0..8_usize, end()).prop_map(|(which, end)| Step::End(which, end)),
        2 => (0..8_usize).prop_map(Step::Cancel),
        3 => key.clone().prop_map(Step::Invalidate),
        1 => Just(Step::InvalidateTag),
        1 => Just(Step::Clear),
        2 => key.clone().prop_map(Step::Put),
        6 => key.prop_map(Step::Get),
        4 => (1..90_u64).prop_map(Step::Advance),
        2 => Just(Step::Evict),
        2 => (0..Fault::ALL.len()).prop_map(|which| Step::Fault(Fault::ALL[which])),
        3 => Just(Step::Maintain),
        1 => Just(Step::Restart),
        3 => Just(Step::Settle),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Success),
        2 => Just(End::Failure),
        1 => Just(End::Absent),
        1 => Just(End::Panic),
    ]
}

/// What a value says about itself: which state of the source it is, and when
/// it was read there.
#[derive(Debug, Clone, Copy)]
struct Written {
    state: u64,
    at: Duration,
}

impl Written {
    fn bytes(self) -> Vec<u8> {
        format!("{} {}", self.state, self.at.as_micros()).into_bytes()
    }

    fn read(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).unwrap();
        let (state, at) = text.split_once(' ').unwrap();
        Self {
            state: state.parse().unwrap(),
            at: Duration::from_micros(at.parse().unwrap()),
        }
    }
}

struct Asked {
    key: usize,
    /// The oldest state that this caller may get.
    oldest: u64,
    task: JoinHandle<Result<Cached, LoadError<&'static str>>>,
    end: Option<oneshot::Sender<End>>,
}

struct World {
    cache: Cache,
    clock: ManualClock,
    dir: tempfile::TempDir,
    faults: Faults,
    /// The state of the source, by key.
    states: Vec<Arc<AtomicU64>>,
    /// The oldest state that a caller who comes now may get, by key.
    oldest: Vec<u64>,
    running: Vec<Arc<AtomicUsize>>,
    asked: Vec<Asked>,
    loads: Arc<AtomicUsize>,
}

fn key(number: usize) -> Key {
    Key::new("model", [number.to_le_bytes()])
}

fn options() -> Options {
    Options::ttl(TTL)
        .jitter(0.0)
        .stale_if_error(STALE_IF_ERROR)
        .stale_while_revalidate(STALE_WHILE_REVALIDATE)
        .absent_ttl(Duration::ZERO)
        .load_timeout(Duration::from_secs(3600))
        .tags(["all"])
}

async fn open(clock: &ManualClock, dir: &std::path::Path, faults: &Faults) -> Cache {
    let mut config = WarmConfig::new(dir).bytes(1 << 20);
    config.read_timeout = Duration::from_millis(20);
    config.write_timeout = Duration::from_millis(60);
    config.open_timeout = Duration::from_millis(300);
    config.faults = faults.clone();
    Cache::builder()
        .clock(clock.shared())
        .hot(256 << 10)
        .warm(config)
        .build()
        .await
        .unwrap()
}

impl World {
    async fn new() -> Self {
        let (dir, clock, faults) = (
            tempfile::tempdir().unwrap(),
            ManualClock::new(),
            Faults::default(),
        );
        clock.set_unix_time(Duration::from_secs(1_800_000_000));
        Self {
            cache: open(&clock, dir.path(), &faults).await,
            clock,
            dir,
            faults,
            states: (0..KEYS).map(|_| Arc::new(AtomicU64::new(1))).collect(),
            oldest: vec![1; KEYS],
            running: (0..KEYS).map(|_| Arc::default()).collect(),
            asked: Vec::new(),
            loads: Arc::default(),
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Ask(number) => self.ask(number),
            Step::End(which, end) => {
                let waiting: Vec<usize> = (0..self.asked.len())
                    .filter(|index| self.asked[*index].end.is_some())
                    .collect();
                if let Some(index) = waiting.get(which % waiting.len().max(1)) {
                    let _ = self.asked[*index].end.take().unwrap().send(end);
                }
            }
            Step::Cancel(which) => {
                if !self.asked.is_empty() {
                    let index = which % self.asked.len();
                    self.asked.swap_remove(index).task.abort();
                }
            }
            Step::Invalidate(number) => {
                let state = self.changes(number);
                let _ = self.cache.invalidate(&[key(number)]).await;
                self.oldest[number] = state;
            }
            Step::InvalidateTag => {
                let states: Vec<u64> = (0..KEYS).map(|number| self.changes(number)).collect();
                let _ = self.cache.invalidate_tags(&["all"]).await;
                self.oldest = states;
            }
            Step::Clear => {
                let states: Vec<u64> = (0..KEYS).map(|number| self.changes(number)).collect();
                let _ = self.cache.clear(None).await;
                self.oldest = states;
            }
            Step::Put(number) => {
                let written = Written {
                    state: self.changes(number),
                    at: self.clock.now(),
                };
                let _ = self
                    .cache
                    .put(&key(number), written.bytes(), &options())
                    .await;
                self.oldest[number] = written.state;
            }
            Step::Get(number) => {
                let oldest = self.oldest[number];
                if let Some(cached) = self.cache.get(&key(number)).await {
                    self.check(number, oldest, &cached);
                    assert!(!cached.stale, "get gives fresh values only");
                }
                if let Some(cached) = self.cache.get_hot(&key(number)) {
                    self.check(number, oldest, &cached);
                }
            }
            Step::Advance(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Step::Evict => drop(self.cache.clear(Some(Tier::Hot)).await),
            Step::Fault(fault) => self.faults.set(fault),
            Step::Maintain => self.cache.maintain().await,
            Step::Restart => {
                for asked in self.asked.drain(..) {
                    asked.task.abort();
                    let _ = asked.task.await;
                }
                self.cache.shutdown(Duration::from_millis(100)).await;
                // A fault that outlives the process would only keep the next
                // one from its disk.
                self.faults.set(Fault::None);
                self.cache = open(&self.clock, self.dir.path(), &self.faults).await;
                self.running = (0..KEYS).map(|_| Arc::default()).collect();
            }
            Step::Settle => tokio::time::sleep(Duration::from_millis(2)).await,
        }
        self.answers().await;
    }

    /// The source changes; returns its new state.
    fn changes(&self, number: usize) -> u64 {
        self.states[number].fetch_add(1, Ordering::SeqCst) + 1
    }

    fn ask(&mut self, number: usize) {
        let (end, ended) = oneshot::channel();
        let (state, running, clock, loads) = (
            Arc::clone(&self.states[number]),
            Arc::clone(&self.running[number]),
            self.clock.clone(),
            Arc::clone(&self.loads),
        );
        let loader = move || async move {
            assert_eq!(
                running.fetch_add(1, Ordering::SeqCst),
                0,
                "two loads of one key"
            );
            let running = Running(running);
            loads.fetch_add(1, Ordering::SeqCst);
            let written = Written {
                state: state.load(Ordering::SeqCst),
                at: clock.now(),
            };
            // Nobody to tell the end: the load ends well.
            let end = ended.await.unwrap_or(End::Success);
            drop(running);
            match end {
                End::Success => Ok(Loaded::value(written.bytes())),
                End::Failure => Err("the source is down"),
                End::Absent => Ok(Loaded::Absent),
                End::Panic => panic!("the loader's own fault"),
            }
        };
        let cache = self.cache.clone();
        self.asked.push(Asked {
            key: number,
            oldest: self.oldest[number],
            task: tokio::spawn(
                async move { cache.get_or_load(&key(number), &options(), loader).await },
            ),
            end: Some(end),
        });
    }

    /// Checks those that have been answered.
    async fn answers(&mut self) {
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        let mut index = 0;
        while index < self.asked.len() {
            if !self.asked[index].task.is_finished() {
                index += 1;
                continue;
            }
            let asked = self.asked.swap_remove(index);
            match asked.task.await.unwrap() {
                Ok(cached) => self.check(asked.key, asked.oldest, &cached),
                Err(LoadError::Panicked | LoadError::Failed(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn check(&self, number: usize, oldest: u64, cached: &Cached) {
        if cached.is_absent() {
            return;
        }
        let written = Written::read(&cached.value);
        assert!(
            written.state >= oldest,
            "key {number}: state {} although {oldest} was acknowledged, from {:?}",
            written.state,
            cached.source
        );
        // The load may have taken a while after it read the source, and the
        // answer a while to be looked at; neither moves the clock here but for
        // steps in between, which the age must know.
        assert!(cached.age <= TTL + STALE_IF_ERROR, "{cached:?}");
        assert!(cached.stale || cached.age < TTL, "{cached:?}");
        assert!(written.at <= self.clock.now());
    }
}

/// Counts a load out when it ends, however it ends.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn cases() -> u32 {
    if std::env::var_os("MAINSTAY_LONG").is_some() {
        2000
    } else {
        48
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_gets_a_value_older_than_it_may_be(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.take(step).await;
            }
            for asked in world.asked.drain(..) {
                asked.task.abort();
            }
            world.cache.shutdown(Duration::from_millis(100)).await;
        });
    }
}
