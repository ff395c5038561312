//! What a stream comes to when its provider fails within the answer.

use mainstay_ai::{AttemptOutcome, CallOptions, ErrorKind, OnInterruption};
use mainstay_testkit::upstream::{Fault, Pace};

use crate::{BOTH, ask, build, chain, hear, single, soon, upstream};

/// Faults after the first words, with the kind they have.
const MIDWAY: [(&str, ErrorKind); 6] = [
    ("truncate:6", ErrorKind::Truncated),
    ("truncate:6:clean", ErrorKind::Truncated),
    ("missing-end", ErrorKind::Truncated),
    ("error-event:6:overloaded_error", ErrorKind::Overloaded),
    ("error-event:6:api_error", ErrorKind::Upstream),
    ("hang:1400", ErrorKind::Timeout),
];

#[tokio::test]
async fn a_broken_stream_is_never_presented_as_whole() {
    for kind in BOTH {
        for (fault, expected) in MIDWAY {
            let upstream = upstream().await;
            upstream.set_fault(fault.parse().unwrap());
            let client = build(single(kind, &upstream));
            let mut stream = client.stream(&ask("one two three"), soon()).await.unwrap();
            let heard = hear(&mut stream).await;
            assert!(
                heard.text.starts_with("Scripted answer"),
                "{fault}, {kind:?}: {heard:?}"
            );
            assert!(heard.finished.is_none(), "{fault}, {kind:?}");
            let error = heard.error.unwrap();
            assert!(error.is_truncated(), "{fault}, {kind:?}");
            assert_eq!(error.kind(), expected, "{fault}, {kind:?}");
            assert!(stream.next().await.is_none(), "nothing follows an error");
            assert_eq!(upstream.request_count(), 1, "no silent second answer");
        }
    }
}

#[tokio::test]
async fn what_a_broken_stream_used_is_counted() {
    for kind in BOTH {
        let upstream = upstream().await;
        upstream.set_fault(Fault::cut_after(6));
        let client = build(single(kind, &upstream));
        let mut stream = client.stream(&ask("one two three"), soon()).await.unwrap();
        let error = hear(&mut stream).await.error.unwrap();
        let used = error.attempts()[0].usage.unwrap();
        assert!(used.input_tokens > 0 && used.output_tokens >= 3, "{used:?}");
        assert!(error.attempts()[0].usage_is_estimate);
        assert_eq!(stream.usage_so_far(), used);
        assert!(stream.usage_is_estimate());
    }
}

#[tokio::test]
async fn a_caller_who_allows_it_gets_a_reset_and_a_new_answer() {
    for (fault, _) in MIDWAY {
        let (main, spare) = (upstream().await, upstream().await);
        main.set_fault(fault.parse().unwrap());
        let options = CallOptions {
            on_interruption: OnInterruption::Restart,
            ..soon()
        };
        let mut settings = chain(&main, &spare);
        settings.retry.attempts_per_deployment = 1;
        let client = build(settings);
        let mut stream = client.stream(&ask("one two three"), options).await.unwrap();
        let heard = hear(&mut stream).await;
        assert_eq!(heard.resets, 1, "{fault}");
        assert_eq!(heard.started, ["main", "spare"], "{fault}");
        assert_eq!(heard.text, "Scripted answer to: one two three", "{fault}");
        let finished = heard.finished.unwrap();
        assert_eq!(finished.text, heard.text);
        assert_eq!(finished.provider, "spare");

        let outcomes: Vec<_> = finished.attempts.iter().map(|one| one.outcome).collect();
        assert!(
            matches!(
                outcomes[..],
                [AttemptOutcome::Failed(_), AttemptOutcome::Answered]
            ),
            "{outcomes:?}"
        );
        let withdrawn = finished.attempts[0].usage.unwrap();
        assert!(withdrawn.output_tokens > 0);
        let all = stream.usage_so_far();
        assert_eq!(
            all.output_tokens,
            withdrawn.output_tokens + finished.usage.output_tokens
        );
        assert!(stream.usage_is_estimate());
    }
}

#[tokio::test]
async fn a_restart_that_nobody_can_answer_is_still_a_truncated_stream() {
    let upstream = upstream().await;
    upstream.push_faults([Fault::cut_after(6), Fault::status(500)]);
    let options = CallOptions {
        on_interruption: OnInterruption::Restart,
        ..soon()
    };
    let client = build(single(BOTH[0], &upstream));
    let heard = hear(&mut client.stream(&ask("one two three"), options).await.unwrap()).await;
    let error = heard.error.unwrap();
    assert!(error.is_truncated() && heard.finished.is_none());
    assert_eq!(error.attempts().len(), 2);
}

#[tokio::test]
async fn a_failure_before_the_first_word_falls_back_unseen() {
    for fault in [
        "truncate:0",
        "truncate:1",
        "truncate:1:clean",
        "error-event:1:overloaded_error",
        "hang:100",
    ] {
        let (main, spare) = (upstream().await, upstream().await);
        main.set_fault(fault.parse().unwrap());
        let client = build(chain(&main, &spare));
        let heard = hear(&mut client.stream(&ask("x"), soon()).await.unwrap()).await;
        assert_eq!(heard.started, ["spare"], "{fault}");
        assert_eq!(heard.resets, 0);
        assert_eq!(heard.finished.unwrap().text, "Scripted answer to: x");
    }
}

#[tokio::test]
async fn the_time_for_the_whole_answer_ends_a_stream_that_keeps_moving() {
    let upstream = upstream().await;
    upstream.set_pace(Pace {
        first_millis: 0,
        event_millis: 50,
    });
    let mut settings = single(BOTH[0], &upstream);
    settings.timeouts.total_ms = 500;
    let client = build(settings);
    let long = "word ".repeat(100);
    let heard = hear(&mut client.stream(&ask(&long), soon()).await.unwrap()).await;
    let error = heard.error.unwrap();
    assert!(error.is_timeout() && error.is_truncated());
}
