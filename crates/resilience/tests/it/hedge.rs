//! Hedging.

use std::sync::atomic::{AtomicU32, Ordering};

use mainstay_resilience::{Deadline, Hedge, HedgeBuilder, RetryBudget, TokioClock};

use crate::support::{Recorder, ms};

fn free(builder: HedgeBuilder) -> Hedge {
    let budget = RetryBudget::builder()
        .without_ratio()
        .in_flight(1.0, 100)
        .build()
        .unwrap();
    builder.budget(budget).build().unwrap()
}

/// Answers with its number after so long.
async fn after(milliseconds: u64, number: u32) -> Result<u32, &'static str> {
    tokio::time::sleep(ms(milliseconds)).await;
    Ok(number)
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_wins() {
    let hedge = free(Hedge::builder("lookup").delay(ms(10)));
    let start = tokio::time::Instant::now();
    let answer = hedge
        .run(|copy| after(if copy == 1 { 100 } else { 5 }, copy))
        .await;
    assert_eq!((answer, start.elapsed()), (Ok(2), ms(15)));
    let answer = hedge
        .run(|copy| after(if copy == 1 { 12 } else { 50 }, copy))
        .await;
    assert_eq!(answer, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_quick_call_is_not_hedged() {
    let (recorder, observer) = Recorder::new();
    let hedge = free(Hedge::builder("lookup").delay(ms(10)).observer(observer));
    assert_eq!(hedge.run(|copy| after(9, copy)).await, Ok(1));
    assert_eq!(
        hedge.run(|copy| async move { Ok::<_, ()>(copy) }).await,
        Ok(1)
    );
    assert_eq!(recorder.events().len(), 0);
    assert_eq!(hedge.run(|copy| after(11, copy)).await, Ok(1));
    assert_eq!(recorder.count("Hedged"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_waits_for_the_other_copy() {
    let hedge = free(Hedge::builder("lookup").delay(ms(10)));
    let answer = hedge
        .run(|copy| async move {
            tokio::time::sleep(ms(20)).await;
            if copy == 1 { Err("first") } else { Ok(copy) }
        })
        .await;
    assert_eq!(answer, Ok(2));
    let calls = AtomicU32::new(0);
    let answer: Result<u32, _> = hedge
        .run(|copy| {
            calls.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(ms(5)).await;
                Err(copy)
            }
        })
        .await;
    assert_eq!(answer, Err(1), "a failure before the hedge is the answer");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn when_all_copies_fail_the_last_error_is_the_answer() {
    let hedge = free(Hedge::builder("lookup").delay(ms(10)).max_hedges(2));
    let answer: Result<u32, _> = hedge
        .run(|copy| async move {
            tokio::time::sleep(ms(25)).await;
            Err(copy)
        })
        .await;
    assert_eq!(answer, Err(3));
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_budget_leaves_the_call_alone() {
    let (recorder, observer) = Recorder::new();
    let hedge = Hedge::builder("lookup")
        .delay(ms(10))
        .budget(RetryBudget::ratio(0.1).unwrap())
        .observer(observer)
        .build()
        .unwrap();
    let mut hedged = 0;
    for _ in 0..100 {
        let answer = hedge
            .run(|copy| after(if copy == 1 { 20 } else { 1 }, copy))
            .await;
        hedged += u32::from(answer.unwrap() == 2);
    }
    assert_eq!(hedged, 10);
    assert_eq!(recorder.count("BudgetExhausted"), 90);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_learned() {
    let builder = Hedge::builder("lookup")
        .percentile(0.95)
        .delay_between(ms(2), ms(500));
    let hedge = free(builder);
    assert_eq!(hedge.delay(), ms(500), "nothing is known yet");
    for call in 0..128 {
        let latency = if call % 32 == 0 { 90 } else { 10 };
        hedge.run(|copy| after(latency, copy)).await.unwrap();
    }
    // Tokio's timers are a millisecond coarse.
    assert!(
        (ms(10)..=ms(12)).contains(&hedge.delay()),
        "{:?}",
        hedge.delay()
    );
}

#[tokio::test(start_paused = true)]
async fn no_copy_is_started_that_the_deadline_would_not_see() {
    let hedge = free(Hedge::builder("lookup").delay(ms(10)));
    let deadline = Deadline::after(&TokioClock, ms(10));
    let answer = hedge
        .run_within(deadline, |copy| after(if copy == 1 { 30 } else { 1 }, copy))
        .await;
    assert_eq!(answer, Ok(1));
}
