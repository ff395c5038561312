//! The state machine of a breaker.
//!
//! The hot path reads one word. Everything that changes the state happens
//! under the gate's lock, and what is to be told about it is told after the
//! lock is released.

mod admit;
mod change;
mod health;
mod hot;
mod record;

use super::{
    State,
    builder::{BreakerConfig, Trip},
    count_window::CountWindow,
    gate::Gate,
    state::Word,
    time_window::TimeWindow,
};
use crate::{
    Name, SharedClock,
    observer::Watch,
    sync::{AtomicU32, AtomicU64, Mutex, Ordering, Settings},
};
use hot::{Hot, Style};

#[derive(Debug)]
pub(crate) struct Machine {
    word: AtomicU64,
    /// When the breaker opened and for how long, in nanoseconds: written
    /// before the word says open.
    opened_at: AtomicU64,
    open_for: AtomicU64,
    /// Failures in a row below the generation that they belong to.
    streak: AtomicU64,
    hot: Settings<6>,
    /// What a good call needs to know of them, in one word: see [`Style`].
    style: AtomicU32,
    time: TimeWindow,
    count: CountWindow,
    gate: Mutex<Gate>,
    clock: SharedClock,
    observer: Watch,
    name: Name,
}

/// A change of state to be told after the lock is released.
#[derive(Debug, Clone, Copy)]
struct Change {
    from: State,
    to: State,
}

impl Machine {
    pub(in crate::breaker) fn new(
        name: Name,
        config: BreakerConfig,
        clock: SharedClock,
        observer: Watch,
    ) -> Self {
        Self {
            word: AtomicU64::new(
                Word {
                    state: State::Closed,
                    generation: 0,
                }
                .pack(),
            ),
            opened_at: AtomicU64::new(0),
            open_for: AtomicU64::new(0),
            streak: AtomicU64::new(0),
            hot: Settings::new(Hot::of(&config).pack()),
            style: AtomicU32::new(Style::of(&config).pack()),
            time: TimeWindow::new(),
            count: CountWindow::new(ring_size(&config)),
            gate: Mutex::new(Gate::new(config)),
            clock,
            observer,
            name,
        }
    }

    pub(in crate::breaker) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::breaker) fn state(&self) -> State {
        self.word().state
    }

    #[inline]
    fn style(&self) -> Style {
        Style::unpack(self.style.load(Ordering::Relaxed))
    }

    #[inline]
    fn word(&self) -> Word {
        Word::unpack(self.word.load(Ordering::Acquire))
    }

    /// Call with the gate locked.
    fn set_word(&self, word: Word) {
        self.word.store(word.pack(), Ordering::Release);
    }
}

/// A ring is only kept by a breaker that has a count window.
fn ring_size(config: &BreakerConfig) -> u32 {
    match config.trip {
        Trip::CountWindow { size, .. } => size,
        _ => 1,
    }
}
