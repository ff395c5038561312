//! The atomics and locks of the crate, exchanged for loom's under `cfg(loom)`.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use std::sync::{OnceLock, PoisonError};

/// Locks, whatever happened to the thread that held the lock before. Nothing
/// of ours panics while it holds one, so that the data is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many counters a sharded window keeps: one for each core, at most 16.
pub(crate) fn shards() -> usize {
    static SHARDS: OnceLock<usize> = OnceLock::new();
    *SHARDS.get_or_init(|| {
        std::thread::available_parallelism()
            .map_or(4, std::num::NonZero::get)
            .next_power_of_two()
            .min(16)
    })
}

/// The shard of the running thread, of a number that is a power of two. Threads take turns, so that two busy
/// threads share a cache line only when there are more threads than shards.
pub(crate) fn shard_of_thread(shards: usize) -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // The thread-local is gone while a thread shuts down; any shard will do.
    MINE.try_with(|mine| *mine).unwrap_or(0) & shards.saturating_sub(1)
}

/// A few numbers that change together and are read far more often than they
/// are written: settings on a hot path. A reader never sees half of an update.
#[derive(Debug)]
pub(crate) struct Settings<const N: usize> {
    /// Odd while an update is being written.
    version: AtomicU64,
    words: [AtomicU64; N],
    writer: Mutex<()>,
}

impl<const N: usize> Settings<N> {
    pub(crate) fn new(words: [u64; N]) -> Self {
        Self {
            version: AtomicU64::new(0),
            words: words.map(AtomicU64::new),
            writer: Mutex::new(()),
        }
    }

    pub(crate) fn load(&self) -> [u64; N] {
        for _ in 0..32 {
            if let Some(words) = self.attempt() {
                return words;
            }
        }
        // The writer was interrupted half-way: wait for it rather than spin.
        let _writer = lock(&self.writer);
        self.read()
    }

    fn attempt(&self) -> Option<[u64; N]> {
        let before = self.version.load(Ordering::SeqCst);
        if before % 2 == 1 {
            return None;
        }
        let words = self.read();
        (self.version.load(Ordering::SeqCst) == before).then_some(words)
    }

    fn read(&self) -> [u64; N] {
        self.words
            .each_ref()
            .map(|word| word.load(Ordering::SeqCst))
    }

    pub(crate) fn store(&self, words: [u64; N]) {
        let _writer = lock(&self.writer);
        self.version.fetch_add(1, Ordering::SeqCst);
        for (slot, word) in self.words.iter().zip(words) {
            slot.store(word, Ordering::SeqCst);
        }
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

/// Nanoseconds of a duration, saturating after 584 years.
pub(crate) fn nanos(duration: std::time::Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(duration.subsec_nanos()))
}
