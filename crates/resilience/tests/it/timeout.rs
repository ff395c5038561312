//! Time limits.

use std::{future::pending, time::Duration};

use mainstay_resilience::{Deadline, Error, Timeout, TokioClock, timeout};

use crate::support::{Recorder, ms, secs};

type Never = Result<(), &'static str>;

#[tokio::test(start_paused = true)]
async fn it_gives_up_after_its_time_and_not_before() {
    let start = tokio::time::Instant::now();
    let result = timeout(ms(100), pending::<Never>()).await;
    assert!(result.unwrap_err().is_timeout());
    assert_eq!(start.elapsed(), ms(100));
    let quick = timeout(ms(100), async {
        tokio::time::sleep(ms(99)).await;
        Err::<(), _>("own")
    });
    assert_eq!(quick.await, Err(Error::Inner("own")));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_can_be_sooner() {
    let (recorder, observer) = Recorder::new();
    let limit = Timeout::new("geocoder", secs(5))
        .unwrap()
        .with_observer(observer);
    let deadline = Deadline::after(&TokioClock, secs(2));
    let error = limit
        .run_within(deadline, pending::<Never>())
        .await
        .unwrap_err();
    assert_eq!(
        error,
        Error::Timeout {
            by: "geocoder".into(),
            after: secs(2)
        }
    );
    assert_eq!(recorder.count("Timeout"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_at_once_beats_an_expired_deadline() {
    let limit = Timeout::new("cache", secs(5)).unwrap();
    let expired = Deadline::after(&TokioClock, Duration::ZERO);
    assert_eq!(
        limit.run_within(expired, async { Ok::<_, ()>(1) }).await,
        Ok(1)
    );
    assert!(limit.run_within(expired, pending::<Never>()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_limit_longer_than_any_clock_never_fires() {
    let long = timeout(Duration::MAX, async {
        tokio::time::sleep(secs(1_000_000)).await;
        Ok::<_, ()>(1)
    });
    assert_eq!(long.await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn the_inner_of_two_limits_is_named_flat() {
    let inner = Timeout::new("inner", secs(1)).unwrap();
    let outer = Timeout::new("outer", secs(2)).unwrap();
    let error = outer
        .around(inner.run(pending::<Never>()))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Timeout { by, .. } if by == "inner"));
}
