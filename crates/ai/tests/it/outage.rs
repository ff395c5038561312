//! What many calls come to while a provider is down.

use std::time::Duration;

use mainstay_ai::{AttemptOutcome, CallOptions, ErrorKind, RetryConfig, Timeouts};
use mainstay_resilience::ManualClock;
use mainstay_testkit::upstream::Fault;

use crate::{BOTH, ask, build, builder, chain, single, soon, upstream};

#[tokio::test]
async fn a_dead_provider_is_left_alone_after_five_failures_and_found_again_after_a_minute() {
    let upstream = upstream().await;
    upstream.set_fault(Fault::status(500));
    let clock = ManualClock::new();
    let mut settings = single(BOTH[0], &upstream);
    settings.retry.attempts_per_deployment = 1;
    let client = builder(settings).clock(clock.shared()).build().unwrap();
    for _ in 0..5 {
        let error = client
            .complete(&ask("x"), CallOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Upstream);
    }
    let error = client
        .complete(&ask("x"), CallOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(error.attempts()[0].outcome, AttemptOutcome::BreakerOpen);
    assert_eq!(upstream.request_count(), 5);
    let health = &client.health()[0];
    assert_eq!((health.state, health.available), ("open", false));

    upstream.set_fault(Fault::None);
    clock.advance(Duration::from_secs(60));
    client
        .complete(&ask("x"), CallOptions::default())
        .await
        .unwrap();
    let health = &client.health()[0];
    assert_eq!((health.state, health.available), ("closed", true));
}

#[tokio::test]
async fn streams_that_break_midway_open_the_breaker_too() {
    let upstream = upstream().await;
    upstream.set_fault(Fault::cut_after(6));
    let client = build(single(BOTH[0], &upstream));
    for _ in 0..5 {
        let mut stream = client.stream(&ask("one two three"), soon()).await.unwrap();
        crate::hear(&mut stream).await;
    }
    assert_eq!(client.health()[0].state, "open");
}

#[tokio::test]
async fn a_provider_that_hangs_opens_its_breaker() {
    let (main, spare) = (upstream().await, upstream().await);
    main.set_fault(Fault::hang());
    let mut settings = chain(&main, &spare);
    settings.providers[0].timeouts = Some(Timeouts {
        first_token_ms: 50,
        ..settings.timeouts
    });
    let client = build(settings);
    for _ in 0..5 {
        crate::hear(&mut client.stream(&ask("x"), soon()).await.unwrap()).await;
    }
    assert_eq!(client.health()[0].state, "open");
    let before = main.request_count();
    let heard = crate::hear(&mut client.stream(&ask("x"), soon()).await.unwrap()).await;
    assert_eq!(heard.started, ["spare"]);
    assert_eq!(
        main.request_count(),
        before,
        "an open breaker costs no time"
    );
}

#[tokio::test]
async fn refusals_of_the_request_and_rate_limits_do_not_open_the_breaker() {
    for fault in ["status:400", "status:429", "status:401"] {
        let upstream = upstream().await;
        upstream.set_fault(fault.parse().unwrap());
        let client = build(single(BOTH[1], &upstream));
        for _ in 0..8 {
            client.complete(&ask("x"), soon()).await.unwrap_err();
        }
        assert_eq!(client.health()[0].state, "closed", "{fault}");
    }
}

#[tokio::test]
async fn under_a_total_outage_retries_stay_within_their_budget() {
    let upstream = upstream().await;
    upstream.set_fault(Fault::status(500));
    let clock = ManualClock::new();
    let mut settings = single(BOTH[0], &upstream);
    settings.breaker.consecutive_failures = 10_000;
    settings.retry = RetryConfig {
        attempts_per_deployment: 4,
        backoff_ms: 1,
        max_backoff_ms: 1,
        budget_ratio: 0.1,
        budget_per_second: 0,
        ..RetryConfig::default()
    };
    // The clock stands still, so a back-off would never be over on it; the
    // budget alone decides, and every refused retry ends its call.
    let client = builder(settings).clock(clock.shared()).build().unwrap();
    let ticking = async {
        loop {
            clock.advance(Duration::from_millis(1));
            tokio::task::yield_now().await;
        }
    };
    let calling = async {
        for _ in 0..50 {
            client
                .complete(&ask("x"), CallOptions::default())
                .await
                .unwrap_err();
        }
    };
    tokio::select! {
        () = calling => {}
        () = ticking => unreachable!("it ticks for ever"),
    }
    let sent = upstream.request_count();
    assert!((50..=55).contains(&sent), "{sent} requests for 50 calls");
}
