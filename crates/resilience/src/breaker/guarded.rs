//! The future of a guarded call.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{Outcome, machine::Machine, outcome_of, permit::Ticket};
use crate::Error;

pin_project! {
    /// Admits, polls and records. Written by hand, since the layers of async
    /// functions that it replaces took longer than all the rest of a call.
    #[must_use = "futures do nothing unless polled"]
    pub(super) struct Guarded<'a, F, C> {
        machine: &'a Machine,
        ticket: Option<Ticket<&'a Machine>>,
        classify: Option<C>,
        #[pin]
        future: F,
    }
}

impl<'a, F, C> Guarded<'a, F, C> {
    pub(super) fn new(machine: &'a Machine, classify: C, future: F) -> Self {
        Self {
            machine,
            ticket: None,
            classify: Some(classify),
            future,
        }
    }
}

impl<T, E, F, C> Future for Guarded<'_, F, C>
where
    F: Future<Output = Result<T, Error<E>>>,
    C: FnOnce(Result<&T, &E>) -> Outcome,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // Held by this function while the operation runs, so that unwinding
        // drops it: whoever catches a panic may keep the future itself.
        let ticket = match this.ticket.take() {
            Some(ticket) => ticket,
            None => match this.machine.admit() {
                Ok(admission) => Ticket::new(*this.machine, admission),
                Err(rejected) => return Poll::Ready(Err(Error::Rejected(rejected))),
            },
        };
        match this.future.poll(cx) {
            Poll::Pending => {
                *this.ticket = Some(ticket);
                Poll::Pending
            }
            Poll::Ready(result) => {
                if let Some(classify) = this.classify.take() {
                    ticket.record(outcome_of(&result, classify));
                }
                Poll::Ready(result)
            }
        }
    }
}
