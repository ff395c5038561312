//! Ask, and when the answer is slow to begin, ask somebody else as well.
//!
//! Whoever begins first answers; the other one is dropped, which stops it. A
//! hedge is paid twice in input tokens, so that it comes out of the retry
//! budget of the deployment it stands in for, and each abandoned attempt has
//! its report.

use std::future::Future;
use std::pin::{Pin, pin};

use futures_util::future::{Either, select};
use tokio::time::timeout;

use crate::error::{AiError, Failure};
use crate::journey::{Journey, Turn};
use crate::transport::Attempt;

/// Asks until somebody answers `start`.
pub(crate) async fn ask<T, F>(
    journey: &mut Journey,
    start: impl Fn(Attempt, &Turn) -> F,
) -> Result<(Turn, T), AiError>
where
    F: Future<Output = Result<T, Failure>>,
{
    loop {
        let turn = journey.next().await?;
        let mut first = pin!(start(journey.attempt(&turn), &turn));
        let early = match journey.hedge_after {
            Some(patience) => timeout(patience, first.as_mut()).await.ok(),
            None => Some(first.as_mut().await),
        };
        let (turn, result) = match early {
            Some(result) => (turn, result),
            None => match journey.hedge(&turn) {
                Some(spare) => {
                    let second = start(journey.attempt(&spare), &spare);
                    race(journey, (turn, first), (spare, second)).await?
                }
                None => (turn, first.await),
            },
        };
        match result {
            Ok(answer) => return Ok((turn, answer)),
            Err(failure) => journey.failed(turn, failure, None)?,
        }
    }
}

/// The first good answer of two, or the second failure.
async fn race<T, F>(
    journey: &mut Journey,
    (turn, first): (Turn, Pin<&mut F>),
    (spare, second): (Turn, F),
) -> Result<(Turn, Result<T, Failure>), AiError>
where
    F: Future<Output = Result<T, Failure>>,
{
    match select(first, pin!(second)).await {
        Either::Left((Ok(answer), _)) => {
            journey.abandoned(spare);
            Ok((turn, Ok(answer)))
        }
        Either::Right((Ok(answer), _)) => {
            journey.abandoned(turn);
            Ok((spare, Ok(answer)))
        }
        Either::Left((Err(failure), second)) => {
            journey.failed(turn, failure, None)?;
            Ok((spare, second.await))
        }
        Either::Right((Err(failure), first)) => {
            journey.failed(spare, failure, None)?;
            Ok((turn, first.await))
        }
    }
}
