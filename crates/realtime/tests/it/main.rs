//! Realtime as its callers see it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
#![allow(
    clippy::disallowed_methods,
    reason = "paused time is read to see what was waited for"
)]

mod admission;
mod hub;
mod queue;
mod runs;

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

/// The future's result if it is ready now.
fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
