//! The queue in front of one socket.
//!
//! Frames wait here, not in the transport, because only here can control
//! frames overtake data, deltas of one stream be joined while they wait, and
//! a peer that does not read be noticed by the bytes that pile up for it.

use crate::lock::lock;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::Sleep};

/// Something that can be sent.
pub trait Frame: Sized + Send {
    /// What tells streams apart: frames of one lane keep their order, frames
    /// of different lanes may overtake each other.
    type Lane: Eq + Hash + Clone + Send;

    /// The frame's lane; `None` for a frame that is never joined with another.
    fn lane(&self) -> Option<Self::Lane>;

    /// The frame's weight in bytes, about what it takes on the wire.
    fn size(&self) -> usize;

    /// Takes `next`, the following frame of the same lane, into this one, or
    /// gives it back when the two cannot be one frame.
    ///
    /// # Errors
    /// `next` itself, unchanged.
    fn join(&mut self, next: Self) -> Result<(), Self>;
}

/// How much may wait for one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// The most bytes of data frames. Default 256 KiB.
    pub max_bytes: usize,
    /// The most data frames. Default 1024.
    pub max_frames: usize,
    /// The most control frames. Default 64.
    pub max_control: usize,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            max_bytes: 256 * 1024,
            max_frames: 1024,
            max_control: 64,
        }
    }
}

/// Why nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// More waited than was allowed: the peer does not keep up.
    Slow,
    /// The sending side was closed in good order; what waited is still sent.
    Done,
    /// The socket's side is gone.
    Gone,
}

/// The queue takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Why.
    pub reason: CloseReason,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            CloseReason::Slow => "the peer does not keep up",
            CloseReason::Done => "the queue was closed",
            CloseReason::Gone => "the peer is gone",
        })
    }
}

impl std::error::Error for Closed {}

/// A queue for one peer: the side that the application sends to and the side
/// that the socket's writer takes from.
#[must_use]
pub fn queue<F: Frame>(config: QueueConfig) -> (Outbox<F>, SendQueue<F>) {
    let inner = Arc::new(Inner {
        config,
        state: Mutex::new(State::default()),
        changed: Notify::new(),
        closed: Notify::new(),
    });
    let outbox = Outbox {
        inner: Arc::clone(&inner),
    };
    let queue = SendQueue {
        inner,
        resting: None,
    };
    (outbox, queue)
}

/// Where the application puts what is to be sent. Cheap to clone; putting
/// never waits.
pub struct Outbox<F: Frame> {
    inner: Arc<Inner<F>>,
}

/// Where the socket's writer takes the next frame from.
pub struct SendQueue<F: Frame> {
    inner: Arc<Inner<F>>,
    /// Until when data waits for its pace.
    resting: Option<Pin<Box<Sleep>>>,
}

struct Inner<F: Frame> {
    config: QueueConfig,
    state: Mutex<State<F>>,
    /// Wakes the one writer.
    changed: Notify,
    /// Wakes those who wait for the end.
    closed: Notify,
}

struct State<F: Frame> {
    control: VecDeque<F>,
    data: VecDeque<F>,
    /// The number that the first frame of `data` has, counting all there were.
    first: u64,
    /// The number of each lane's last frame. Entries below `first` are stale
    /// and swept away now and then.
    last_of_lane: HashMap<F::Lane, u64>,
    bytes: usize,
    joined: u64,
    /// The least time between two data frames.
    pace: Option<Duration>,
    closed: Option<CloseReason>,
}

impl<F: Frame> Default for State<F> {
    fn default() -> Self {
        Self {
            control: VecDeque::new(),
            data: VecDeque::new(),
            first: 0,
            last_of_lane: HashMap::new(),
            bytes: 0,
            joined: 0,
            pace: None,
            closed: None,
        }
    }
}

impl<F: Frame> Outbox<F> {
    /// Queues a data frame behind the other data, or joins it with the last
    /// waiting frame of its lane.
    ///
    /// # Errors
    /// [`Closed`] when the queue is closed, or was just closed because the
    /// peer does not keep up.
    pub fn data(&self, frame: F) -> Result<(), Closed> {
        self.put(|state, config| {
            state.add_data(frame);
            state.bytes <= config.max_bytes && state.data.len() <= config.max_frames
        })
    }

    /// Queues a control frame ahead of all data.
    ///
    /// # Errors
    /// [`Closed`] as for [`Outbox::data`].
    pub fn control(&self, frame: F) -> Result<(), Closed> {
        self.put(|state, config| {
            state.control.push_back(frame);
            state.control.len() <= config.max_control
        })
    }

    /// Lets at least `pace` pass between two data frames, so that more deltas
    /// are joined into each: what a server under load owes the others. `None`,
    /// as at the beginning, sends as fast as the socket takes. It counts from
    /// the next data frame on; control frames never wait.
    pub fn set_pace(&self, pace: Option<Duration>) {
        lock(&self.inner.state).pace = pace;
    }

    /// Takes nothing more; what waits is still sent.
    pub fn close(&self) {
        self.inner.close(CloseReason::Done);
    }

    /// Waits until the queue is closed, and tells why.
    pub async fn closed(&self) -> CloseReason {
        loop {
            let mut waiting = std::pin::pin!(self.inner.closed.notified());
            // From here on a close is not missed, even before the first poll.
            waiting.as_mut().enable();
            if let Some(reason) = self.close_reason() {
                return reason;
            }
            waiting.await;
        }
    }

    /// Why the queue was closed, if it was.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        lock(&self.inner.state).closed
    }

    /// The bytes of data that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        lock(&self.inner.state).bytes
    }

    /// How many frames were joined with an earlier one instead of queued.
    #[must_use]
    pub fn joined(&self) -> u64 {
        lock(&self.inner.state).joined
    }

    fn put(&self, add: impl FnOnce(&mut State<F>, &QueueConfig) -> bool) -> Result<(), Closed> {
        {
            let mut state = lock(&self.inner.state);
            if let Some(reason) = state.closed {
                return Err(Closed { reason });
            }
            if add(&mut state, &self.inner.config) {
                drop(state);
                self.inner.changed.notify_one();
                return Ok(());
            }
        }
        self.inner.close(CloseReason::Slow);
        Err(Closed {
            reason: CloseReason::Slow,
        })
    }
}

impl<F: Frame> SendQueue<F> {
    /// The next frame to send: control first, then data in order and at the
    /// pace that was set. `None` when the queue is closed and, after an orderly
    /// close, empty. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<F> {
        loop {
            if let Some(frame) = self.try_next() {
                return Some(frame);
            }
            {
                let state = lock(&self.inner.state);
                if state.closed.is_some() && state.data.is_empty() {
                    return None;
                }
            }
            // `notify_one` stores a permit, so a frame that is put between the
            // check and this wait is not missed; there is only one writer.
            let changed = self.inner.changed.notified();
            match &mut self.resting {
                None => changed.await,
                Some(resting) => {
                    tokio::select! {
                        () = changed => {}
                        () = resting => self.resting = None,
                    }
                }
            }
        }
    }

    /// The next frame if one may be sent now. With a pace, it has to be called
    /// on a tokio runtime.
    pub fn try_next(&mut self) -> Option<F> {
        let mut state = lock(&self.inner.state);
        if let Some(frame) = state.control.pop_front() {
            return Some(frame);
        }
        if self.resting.as_ref().is_some_and(|rest| !rest.is_elapsed()) && state.closed.is_none() {
            return None;
        }
        let frame = state.take_data()?;
        // What waits at an orderly close is not held up any more.
        let pace = state.pace.filter(|_| state.closed.is_none());
        self.resting = pace.map(|pace| Box::pin(tokio::time::sleep(pace)));
        Some(frame)
    }

    /// Why the queue was closed, if it was.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        lock(&self.inner.state).closed
    }
}

impl<F: Frame> Inner<F> {
    fn close(&self, reason: CloseReason) {
        let mut state = lock(&self.state);
        if state.closed.is_none() {
            state.closed = Some(reason);
            if reason != CloseReason::Done {
                // What waits will never be sent; its memory is needed now.
                state.control = VecDeque::new();
                state.data = VecDeque::new();
                state.last_of_lane = HashMap::new();
                state.bytes = 0;
            }
        }
        drop(state);
        self.changed.notify_one();
        self.closed.notify_waiters();
    }
}

impl<F: Frame> State<F> {
    fn add_data(&mut self, mut frame: F) {
        let lane = frame.lane();
        if let Some(lane) = &lane
            && let Some(last) = self.last_of_lane.get(lane)
            && let Some(offset) = last.checked_sub(self.first)
            && let Some(waiting) = usize::try_from(offset)
                .ok()
                .and_then(|offset| self.data.get_mut(offset))
        {
            let before = waiting.size();
            match waiting.join(frame) {
                Ok(()) => {
                    self.bytes = self.bytes.saturating_sub(before) + waiting.size();
                    self.joined += 1;
                    return;
                }
                Err(unchanged) => frame = unchanged,
            }
        }
        if let Some(lane) = lane {
            self.sweep_lanes();
            let number = self.first + self.data.len() as u64;
            self.last_of_lane.insert(lane, number);
        }
        self.bytes += frame.size();
        self.data.push_back(frame);
    }

    fn take_data(&mut self) -> Option<F> {
        let frame = self.data.pop_front()?;
        self.first += 1;
        self.bytes = self.bytes.saturating_sub(frame.size());
        Some(frame)
    }

    /// Forgets lanes that have nothing waiting, when they outnumber the
    /// waiting frames, so that the map never outgrows the queue.
    fn sweep_lanes(&mut self) {
        if self.last_of_lane.len() > 2 * self.data.len() + 16 {
            let first = self.first;
            self.last_of_lane.retain(|_, last| *last >= first);
        }
    }
}

impl<F: Frame> Clone for Outbox<F> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<F: Frame> Drop for SendQueue<F> {
    fn drop(&mut self) {
        self.inner.close(CloseReason::Gone);
        // After an orderly close, what was not taken is dropped here too.
        let mut state = lock(&self.inner.state);
        state.control = VecDeque::new();
        state.data = VecDeque::new();
        state.bytes = 0;
    }
}

impl<F: Frame> fmt::Debug for Outbox<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.inner.state);
        f.debug_struct("Outbox")
            .field("control", &state.control.len())
            .field("data", &state.data.len())
            .field("bytes", &state.bytes)
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}

impl<F: Frame> fmt::Debug for SendQueue<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendQueue").finish_non_exhaustive()
    }
}
