//! Permits and the callers that wait for one.
//!
//! One word holds both the permits in use and the number of waiters, so that
//! taking, returning and beginning to wait are ordered among each other: a
//! permit that comes free after somebody began to wait is always seen by him.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};

const WAITER: u64 = 1 << 32;

fn in_use(word: u64) -> u64 {
    word & 0xffff_ffff
}

fn waiting(word: u64) -> u64 {
    word >> 32
}

#[derive(Debug)]
pub(super) struct Permits {
    /// Permits in use below the number of waiters.
    word: AtomicU64,
    most: AtomicU32,
    most_waiting: AtomicU32,
    /// As many as the word says; the word is changed with the lock held
    /// whenever the number of waiters changes.
    waiters: Mutex<VecDeque<Arc<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    turn: Mutex<Turn>,
}

#[derive(Debug)]
enum Turn {
    Waiting(Option<Waker>),
    /// The permit is the waiter's.
    Granted,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Permits {
    pub(super) fn new(most: u32, most_waiting: u32) -> Self {
        Self {
            word: AtomicU64::new(0),
            most: AtomicU32::new(most),
            most_waiting: AtomicU32::new(most_waiting),
            waiters: Mutex::new(VecDeque::new()),
        }
    }

    fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed).into()
    }

    /// Takes a permit unless others wait for one already.
    pub(super) fn try_take(&self) -> Result<(), Full> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if waiting(word) > 0 || in_use(word) >= self.most() {
                return Err(Full);
            }
            match self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(seen) => word = seen,
            }
        }
    }

    /// Takes a permit, or a place in the queue.
    fn take_or_wait(&self) -> Result<Option<Arc<Waiter>>, Full> {
        let mut waiters = lock(&self.waiters);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let free = waiting(word) == 0 && in_use(word) < self.most();
            if !free && waiting(word) >= self.most_waiting.load(Ordering::Relaxed).into() {
                return Err(Full);
            }
            let next = if free { word + 1 } else { word + WAITER };
            match self
                .word
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if free => return Ok(None),
                Ok(_) => break,
                Err(seen) => word = seen,
            }
        }
        let waiter = Arc::new(Waiter {
            turn: Mutex::new(Turn::Waiting(None)),
        });
        waiters.push_back(Arc::clone(&waiter));
        Ok(Some(waiter))
    }

    /// Returns a permit.
    pub(super) fn release(&self) {
        let before = self.word.fetch_sub(1, Ordering::Release);
        if waiting(before) > 0 {
            self.serve();
        }
    }

    /// Hands free permits to the callers that wait, first come, first served.
    fn serve(&self) {
        let mut wake = Vec::new();
        let mut waiters = lock(&self.waiters);
        while !waiters.is_empty() {
            let mut word = self.word.load(Ordering::Relaxed);
            let taken = loop {
                if in_use(word) >= self.most() {
                    break false;
                }
                match self.word.compare_exchange_weak(
                    word,
                    word + 1 - WAITER,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => break true,
                    Err(seen) => word = seen,
                }
            };
            if !taken {
                break;
            }
            if let Some(waiter) = waiters.pop_front() {
                let turn = std::mem::replace(&mut *lock(&waiter.turn), Turn::Granted);
                if let Turn::Waiting(Some(waker)) = turn {
                    wake.push(waker);
                }
            }
        }
        drop(waiters);
        // A waker runs code of the executor: never under our lock.
        wake.into_iter().for_each(Waker::wake);
    }

    /// Gives up the place of `waiter`; a permit that it got meanwhile goes on.
    fn leave(&self, waiter: &Arc<Waiter>) {
        let mut waiters = lock(&self.waiters);
        let place = waiters.iter().position(|other| Arc::ptr_eq(other, waiter));
        if let Some(place) = place {
            waiters.remove(place);
            self.word.fetch_sub(WAITER, Ordering::AcqRel);
            drop(waiters);
        } else {
            drop(waiters);
            self.release();
        }
    }

    pub(super) fn resize(&self, most: u32, most_waiting: u32) {
        self.most.store(most, Ordering::Relaxed);
        self.most_waiting.store(most_waiting, Ordering::Relaxed);
        self.serve();
    }

    pub(super) fn limits(&self) -> (u32, u32) {
        (
            self.most.load(Ordering::Relaxed),
            self.most_waiting.load(Ordering::Relaxed),
        )
    }

    pub(super) fn counts(&self) -> (u32, u32) {
        let word = self.word.load(Ordering::Relaxed);
        (in_use(word) as u32, waiting(word) as u32)
    }

    /// A permit when it is this caller's turn.
    pub(super) fn take(&self) -> Take<'_> {
        Take {
            permits: self,
            waiter: None,
        }
    }
}

/// Waits for a permit. Dropping it gives up the place in the queue.
#[must_use = "futures do nothing unless polled"]
pub(super) struct Take<'a> {
    permits: &'a Permits,
    waiter: Option<Arc<Waiter>>,
}

impl Future for Take<'_> {
    type Output = Result<(), Full>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.waiter.is_none() {
            if self.permits.try_take().is_ok() {
                return Poll::Ready(Ok(()));
            }
            match self.permits.take_or_wait() {
                Ok(None) => return Poll::Ready(Ok(())),
                Ok(Some(waiter)) => self.waiter = Some(waiter),
                Err(Full) => return Poll::Ready(Err(Full)),
            }
        }
        let granted = self.waiter.as_ref().is_some_and(|waiter| {
            let mut turn = lock(&waiter.turn);
            match &mut *turn {
                Turn::Granted => true,
                Turn::Waiting(waker) => {
                    match waker {
                        Some(known) => known.clone_from(cx.waker()),
                        None => *waker = Some(cx.waker().clone()),
                    }
                    false
                }
            }
        });
        if !granted {
            return Poll::Pending;
        }
        self.waiter = None;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Take<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.permits.leave(&waiter);
        }
    }
}
