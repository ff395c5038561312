//! Two are asked when the first is slow to begin.

use std::time::{Duration, Instant};

use mainstay_ai::{AttemptOutcome, Client, Config, ErrorKind};
use mainstay_testkit::upstream::{Ended, Fault, Pace, ScriptedUpstream};

use crate::{ask, build, chain, hear, soon, upstream};

const SLOW: Pace = Pace {
    first_millis: 1_000,
    event_millis: 0,
};

fn hedged(main: &ScriptedUpstream, spare: &ScriptedUpstream) -> Config {
    let mut settings = chain(main, spare);
    settings.models[0].hedge_after_ms = Some(40);
    settings
}

async fn answered_by(client: &Client) -> String {
    client.complete(&ask("x"), soon()).await.unwrap().provider
}

#[tokio::test]
async fn the_quicker_one_answers_and_the_slower_one_is_stopped_and_reported() {
    let (main, spare) = (upstream().await, upstream().await);
    main.set_fault(Fault::hang());
    let client = build(hedged(&main, &spare));
    let began = Instant::now();
    let heard = hear(&mut client.stream(&ask("x"), soon()).await.unwrap()).await;
    assert!(
        began.elapsed() < Duration::from_millis(1_200),
        "{:?}",
        began.elapsed()
    );
    let finished = heard.finished.unwrap();
    assert_eq!(
        (heard.started, finished.text.as_str()),
        (vec!["spare".to_owned()], "Scripted answer to: x")
    );
    main.wait_for(|all| all[0].ended == Ended::ClientLeft).await;

    let outcomes: Vec<_> = finished.attempts.iter().map(|one| one.outcome).collect();
    assert_eq!(
        outcomes,
        [AttemptOutcome::Abandoned, AttemptOutcome::Answered]
    );
    let paid = finished.attempts[0].usage.unwrap();
    assert!(
        paid.input_tokens > 0 && paid.output_tokens == 0 && finished.attempts[0].usage_is_estimate
    );
    assert_eq!(client.health()[0].state, "closed", "slow is not broken");
}

#[tokio::test]
async fn a_whole_answer_is_hedged_too_and_the_first_may_still_win() {
    let (main, spare) = (upstream().await, upstream().await);
    main.set_pace(SLOW);
    assert_eq!(answered_by(&build(hedged(&main, &spare))).await, "spare");
    spare.set_fault(Fault::hang());
    assert_eq!(answered_by(&build(hedged(&main, &spare))).await, "main");
    spare
        .wait_for(|all| all.iter().any(|one| one.ended == Ended::ClientLeft))
        .await;
}

#[tokio::test]
async fn who_answers_in_time_is_not_hedged() {
    let (main, spare) = (upstream().await, upstream().await);
    let mut settings = hedged(&main, &spare);
    settings.models[0].hedge_after_ms = Some(1_400);
    assert_eq!(answered_by(&build(settings)).await, "main");
    assert_eq!(spare.request_count(), 0);
}

#[tokio::test]
async fn the_failure_of_one_leaves_the_race_to_the_other() {
    let (main, spare) = (upstream().await, upstream().await);
    main.set_pace(SLOW);
    spare.set_fault(Fault::status(500));
    let answer = build(hedged(&main, &spare))
        .complete(&ask("x"), soon())
        .await
        .unwrap();
    assert_eq!(answer.provider, "main");
    let outcomes: Vec<_> = answer.attempts.iter().map(|one| one.outcome).collect();
    assert_eq!(
        outcomes,
        [
            AttemptOutcome::Failed(ErrorKind::Upstream),
            AttemptOutcome::Answered
        ]
    );
}

#[tokio::test]
async fn hedges_stay_within_their_budget() {
    let (main, spare) = (upstream().await, upstream().await);
    main.set_pace(Pace {
        first_millis: 300,
        event_millis: 0,
    });
    let mut settings = hedged(&main, &spare);
    settings.retry.budget_ratio = 0.2;
    settings.retry.budget_per_second = 0;
    let client = build(settings);
    for _ in 0..10 {
        client.complete(&ask("x"), soon()).await.unwrap();
    }
    assert_eq!((main.request_count(), spare.request_count()), (10, 2));
}
