//! One type owns dying.
//!
//! A stop has two steps. The first signal begins the *drain*: readiness turns
//! to 503, no new work is begun, streams are told, and everything that was
//! spawned is awaited. The second signal, or the end of the drain's time, is
//! *hard*: what is left is cut off.
//!
//! Between the two, when three quarters of the drain's time are over, it is
//! *late*: what writes an answer ends it in order and stores what it has.
//!
//! Everything that outlives a request is spawned through a [`Spawner`]. It
//! stands on the process's multi-thread runtime, never on one of actix's
//! single-threaded workers, so that a slow worker cannot starve it, and a
//! stop waits for it.

use std::{future::Future, time::Duration};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

/// How a stop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything finished in time.
    Drained,
    /// Time ran out or a second signal came; this many tasks were cut off.
    Cut {
        /// Tasks that had not finished.
        unfinished: usize,
    },
}

/// Owns the process's two stop signals and every task.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    soft: CancellationToken,
    late: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    runtime: Handle,
}

/// Spawns tasks that a stop waits for.
#[derive(Debug, Clone)]
pub struct Spawner {
    lifecycle: Lifecycle,
}

impl Lifecycle {
    /// A lifecycle whose tasks run on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self {
            soft: CancellationToken::new(),
            late: CancellationToken::new(),
            hard: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime,
        }
    }

    /// The handle by which everything is spawned.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        Spawner {
            lifecycle: self.clone(),
        }
    }

    /// Cancelled when the drain begins: begin nothing new, finish what is begun.
    #[must_use]
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when the drain is nearly over: end in order what goes on.
    #[must_use]
    pub fn late(&self) -> &CancellationToken {
        &self.late
    }

    /// Cancelled when waiting is over: let go of everything.
    #[must_use]
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// The runtime that tasks run on.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The tracker that a drain waits for, for crates that spawn by themselves.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Begins the drain.
    pub fn begin_drain(&self) {
        self.soft.cancel();
    }

    /// Ends all waiting.
    pub fn cut(&self) {
        self.soft.cancel();
        self.late.cancel();
        self.hard.cancel();
    }

    /// Whether a stop has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Waits for every task, at most `patience`, then cuts the rest off.
    pub async fn finish(&self, patience: Duration) -> Ending {
        self.begin_drain();
        self.tasks.close();
        let finished = tokio::select! {
            biased;
            () = self.tasks.wait() => true,
            () = self.hard.cancelled() => false,
            () = self.wait_until_over(patience) => false,
        };
        // A second signal ends tasks too, and that is no orderly end.
        if finished && !self.hard.is_cancelled() {
            return Ending::Drained;
        }
        let unfinished = self.tasks.len();
        self.cut();
        // Tasks that watch the hard token end at once; the runtime drops the rest.
        let _ = tokio::time::timeout(Duration::from_millis(200), self.tasks.wait()).await;
        Ending::Cut { unfinished }
    }

    /// Waits for `patience`, and says when most of it is gone.
    async fn wait_until_over(&self, patience: Duration) {
        let rest = patience / 4;
        tokio::time::sleep(patience.saturating_sub(rest)).await;
        self.late.cancel();
        tokio::time::sleep(rest).await;
    }

    /// Turns SIGTERM and SIGINT into the two steps: the first begins the
    /// drain, the second cuts it short.
    ///
    /// # Errors
    /// When the process may not install signal handlers.
    pub fn listen_for_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let _guard = self.runtime.enter();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let lifecycle = self.clone();
        // Outside the tracker: a drain must not wait for the listener.
        self.runtime.spawn(async move {
            for step in 1..=2 {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if step == 1 {
                    tracing::info!("stopping; a second signal stops at once");
                    lifecycle.begin_drain();
                } else {
                    tracing::warn!("stopping at once");
                    lifecycle.cut();
                }
            }
        });
        Ok(())
    }
}

impl Spawner {
    /// Runs `task` on the main runtime. A stop waits for it; at the hard
    /// step it is dropped. It keeps the span of whoever spawns it, so that
    /// its log lines carry the request's correlation id.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let hard = self.lifecycle.hard.clone();
        let tracked = self
            .lifecycle
            .tasks
            .track_future(async move { hard.run_until_cancelled(task).await }.in_current_span());
        self.lifecycle.runtime.spawn(tracked)
    }

    /// Runs `task` until the drain begins, then drops it: for work without an
    /// end, such as polling, that holds nothing which must be finished.
    pub fn spawn_until_drain<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let soft = self.lifecycle.soft.clone();
        self.spawn(async move {
            soft.run_until_cancelled(task).await;
        });
    }

    /// Runs the HTTP server itself, which ends by its own handle and whose
    /// end a drain awaits separately.
    pub(crate) fn run_apart<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.lifecycle.runtime.spawn(task)
    }

    /// The lifecycle that this spawns into.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.lifecycle.tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_what_was_spawned() {
        let lifecycle = Lifecycle::new(Handle::current());
        let (done, finished) = oneshot::channel();
        let soft = lifecycle.soft().clone();
        lifecycle.spawner().spawn(async move {
            soft.cancelled().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            done.send(()).ok();
        });
        let ending = lifecycle.finish(Duration::from_secs(10)).await;
        assert_eq!(ending, Ending::Drained);
        finished.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_cut_and_counted() {
        let lifecycle = Lifecycle::new(Handle::current());
        lifecycle.spawner().spawn(std::future::pending::<()>());
        let ending = lifecycle.finish(Duration::from_secs(1)).await;
        assert_eq!(ending, Ending::Cut { unfinished: 1 });
        assert_eq!(lifecycle.spawner().running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn endless_work_ends_with_the_drain() {
        let lifecycle = Lifecycle::new(Handle::current());
        lifecycle
            .spawner()
            .spawn_until_drain(std::future::pending::<()>());
        let ending = lifecycle.finish(Duration::from_secs(1)).await;
        assert_eq!(ending, Ending::Drained);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_ends_the_waiting() {
        let lifecycle = Lifecycle::new(Handle::current());
        lifecycle.spawner().spawn(std::future::pending::<()>());
        let waiting = lifecycle.finish(Duration::from_secs(3600));
        let impatient = async {
            lifecycle.cut();
        };
        let (ending, ()) = tokio::join!(waiting, impatient);
        assert!(matches!(ending, Ending::Cut { .. }));
    }
}
