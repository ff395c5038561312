//! What several tests need.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use mainstay_resilience::{Event, Observer, SharedObserver};

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs `f`, which panics, without the panic's message on the terminal.
pub(crate) fn panicking(f: impl FnOnce()) {
    let result = catch_unwind(AssertUnwindSafe(|| {
        f();
    }));
    assert!(result.is_err(), "the closure was expected to panic");
}

/// Panics without calling the panic hook.
pub(crate) fn panic_quietly() -> ! {
    resume_unwind(Box::new("a panic that a test wanted"))
}

/// Writes down every event.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    pub(crate) fn new() -> (Arc<Self>, SharedObserver) {
        let recorder = Arc::new(Self::default());
        (Arc::clone(&recorder), recorder)
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.events()
            .iter()
            .filter(|event| event.contains(part))
            .count()
    }
}

impl Observer for Recorder {
    fn on_event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

/// Polls a new future `polls` times, with `step` of paused time between the
/// polls, and drops it. Answers whether it was done before.
async fn drop_after<F: Future>(future: F, polls: usize, step: Duration) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        let done = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if done {
            return true;
        }
        tokio::time::advance(step).await;
    }
    false
}

/// Drops a future at each of its polls in turn, and checks after each drop that
/// nothing was lost.
pub(crate) async fn sweep<F: Future>(
    step: Duration,
    mut make: impl FnMut() -> F,
    mut check: impl FnMut(usize),
) {
    for polls in 0..200 {
        let done = drop_after(make(), polls, step).await;
        check(polls);
        if done {
            assert!(
                polls > 1,
                "the future was never pending: the sweep shows nothing"
            );
            return;
        }
    }
    panic!("the future was not done after 200 polls");
}

/// Pending once, so that a sweep has a poll to drop it at.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Whether the long form of the suite was asked for.
pub(crate) fn long() -> bool {
    std::env::var_os("MAINSTAY_LONG").is_some_and(|value| value == "1")
}
