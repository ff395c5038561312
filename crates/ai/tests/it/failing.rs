//! What a call comes to when its provider fails before an answer.

use std::error::Error;
use std::time::{Duration, Instant};

use mainstay_ai::{AiError, AttemptOutcome, Config, ErrorKind, Message, ProviderKind};
use mainstay_testkit::upstream::{Fault, ScriptedUpstream};

use crate::{BOTH, KEY, ask, build, chain, config, hear, provider, single, soon, upstream, within};

async fn error_of(kind: ProviderKind, upstream: &ScriptedUpstream) -> AiError {
    build(single(kind, upstream))
        .complete(&ask("my secret prompt"), soon())
        .await
        .unwrap_err()
}

#[tokio::test]
async fn each_failure_has_its_kind() {
    for (fault, kind, status, retryable) in [
        ("status:400", ErrorKind::InvalidRequest, Some(400), false),
        ("status:401", ErrorKind::Unauthorized, Some(401), false),
        ("status:402", ErrorKind::Unauthorized, Some(402), false),
        ("status:403", ErrorKind::Unauthorized, Some(403), false),
        ("status:404", ErrorKind::NotFound, Some(404), false),
        ("status:413", ErrorKind::InvalidRequest, Some(413), false),
        ("status:429", ErrorKind::RateLimited, Some(429), true),
        ("status:500", ErrorKind::Upstream, Some(500), true),
        ("status:503", ErrorKind::Overloaded, Some(503), true),
        ("status:504", ErrorKind::Upstream, Some(504), true),
        ("status:529", ErrorKind::Overloaded, Some(529), true),
        ("status:302", ErrorKind::NotFound, Some(302), false),
        ("garbage", ErrorKind::Garbled, None, true),
        ("html", ErrorKind::Garbled, None, true),
        ("truncate:1", ErrorKind::Truncated, None, true),
        ("truncate:1:clean", ErrorKind::Garbled, None, true),
        ("disconnect", ErrorKind::Unreachable, None, true),
    ] {
        for dialect in BOTH {
            let upstream = upstream().await;
            upstream.set_fault(fault.parse().unwrap());
            let error = error_of(dialect, &upstream).await;
            assert_eq!(error.kind(), kind, "{fault}, {dialect:?}: {error}");
            assert_eq!(error.status(), status, "{fault}");
            assert_eq!(error.is_retryable(), retryable, "{fault}");
            let tries = if retryable { 2 } else { 1 };
            assert_eq!(upstream.request_count(), tries, "{fault}, {dialect:?}");
            assert_eq!(error.attempts().len(), tries, "{fault}, {dialect:?}");
        }
    }
}

#[tokio::test]
async fn no_error_tells_the_key_the_prompt_or_the_address() {
    for fault in [
        "status:400",
        "status:500",
        "garbage",
        "disconnect",
        "hang",
        "truncate:1",
    ] {
        let upstream = upstream().await;
        upstream.set_fault(fault.parse().unwrap());
        let error = error_of(ProviderKind::Anthropic, &upstream).await;
        let mut texts = vec![error.to_string(), format!("{error:?}")];
        let mut cause = error.source();
        while let Some(source) = cause {
            texts.push(format!("{source} {source:?}"));
            cause = source.source();
        }
        for text in texts {
            assert!(
                !text.contains(KEY) && !text.contains("secret prompt"),
                "{fault}: {text}"
            );
            assert!(!text.contains("/v1/messages"), "{fault}: {text}");
        }
    }
}

#[tokio::test]
async fn a_hiccup_is_retried_and_nobody_notices() {
    for kind in BOTH {
        for fault in [
            "status:500",
            "status:529:0",
            "disconnect",
            "garbage",
            "truncate:1",
        ] {
            let upstream = upstream().await;
            upstream.push_faults([fault.parse().unwrap()]);
            let client = build(single(kind, &upstream));
            let answer = client.complete(&ask("x"), soon()).await.unwrap();
            assert_eq!(answer.text, "Scripted answer to: x", "{fault}");
            assert_eq!(answer.attempts.len(), 2);
            assert!(matches!(
                answer.attempts[0].outcome,
                AttemptOutcome::Failed(_)
            ));

            upstream.push_faults([fault.parse().unwrap()]);
            let heard = hear(&mut client.stream(&ask("x"), soon()).await.unwrap()).await;
            assert_eq!(heard.text, "Scripted answer to: x", "{fault}");
            assert_eq!(upstream.request_count(), 4);
        }
    }
}

#[tokio::test]
async fn every_failure_before_an_answer_falls_back_to_the_next_provider() {
    for fault in [
        "status:401",
        "status:404",
        "status:429:60",
        "status:500",
        "status:503",
        "status:529:60",
        "disconnect",
        "hang",
        "garbage",
        "html",
    ] {
        let (main, spare) = (upstream().await, upstream().await);
        main.set_fault(fault.parse().unwrap());
        let client = build(chain(&main, &spare));
        let answer = client.complete(&ask("x"), soon()).await.unwrap();
        assert_eq!(
            (answer.provider.as_str(), answer.model.as_str()),
            ("spare", "spare-model"),
            "{fault}"
        );
        assert_eq!(answer.text, "Scripted answer to: x");

        let client = build(chain(&main, &spare));
        let heard = hear(&mut client.stream(&ask("x"), soon()).await.unwrap()).await;
        assert_eq!(heard.started, ["spare"], "{fault}");
        assert_eq!(heard.text, "Scripted answer to: x");
    }
}

#[tokio::test]
async fn a_wrong_request_is_not_sent_to_anybody_else() {
    let (main, spare) = (upstream().await, upstream().await);
    main.set_fault(Fault::status(400));
    let error = build(chain(&main, &spare))
        .complete(&ask("x"), soon())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!((main.request_count(), spare.request_count()), (1, 0));
}

#[tokio::test]
async fn what_can_be_seen_to_be_wrong_is_not_sent_at_all() {
    let upstream = upstream().await;
    let client = build(single(BOTH[0], &upstream));
    let mut requests = [ask("x"), ask("x"), ask("x"), ask("x")];
    requests[0].messages.clear();
    requests[1].max_tokens = 0;
    requests[2].temperature = Some(f32::NAN);
    requests[3].messages.push(Message {
        role: mainstay_ai::Role::User,
        content: Vec::new(),
    });
    for request in requests {
        let error = client.complete(&request, soon()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn a_long_retry_after_is_told_at_once_and_remembered() {
    for kind in BOTH {
        let upstream = upstream().await;
        upstream.set_fault(Fault::rate_limited(30));
        let client = build(single(kind, &upstream));
        let began = Instant::now();
        let error = client.complete(&ask("x"), soon()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "it must not wait for what cannot be"
        );

        // The next call does not even ask.
        let error = client.complete(&ask("x"), soon()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        let wait = error.retry_after().unwrap();
        assert!(
            wait > Duration::from_secs(25) && wait <= Duration::from_secs(30),
            "{wait:?}"
        );
        assert_eq!(upstream.request_count(), 1);
    }
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for() {
    let upstream = upstream().await;
    upstream.push_faults([Fault::rate_limited(1)]);
    let began = Instant::now();
    let answer = build(single(BOTH[0], &upstream))
        .complete(&ask("x"), soon())
        .await
        .unwrap();
    assert_eq!(answer.attempts.len(), 2);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn limits_in_headers_are_respected_before_the_provider_says_429() {
    let (main, spare) = (upstream().await, upstream().await);
    main.push_faults([Fault::RateHeaders {
        remaining: 0,
        reset_seconds: 30,
    }]);
    let client = build(chain(&main, &spare));
    assert_eq!(
        client.complete(&ask("x"), soon()).await.unwrap().provider,
        "main"
    );
    assert_eq!(
        client.complete(&ask("x"), soon()).await.unwrap().provider,
        "spare"
    );
    assert_eq!(main.request_count(), 1);
    let health = client.health();
    assert!(!health[0].available && health[1].available);
}

#[tokio::test]
async fn a_provider_that_hangs_costs_its_time_limit_and_not_the_deadline() {
    for kind in BOTH {
        let upstream = upstream().await;
        upstream.set_fault(Fault::hang());
        let client = build(single(kind, &upstream));
        let began = Instant::now();
        let error = client.stream(&ask("x"), soon()).await.unwrap_err();
        assert!(error.is_timeout() && !error.is_truncated());
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(upstream.request_count(), 1, "what hangs is not asked twice");
    }
}

#[tokio::test]
async fn keep_alives_are_no_answer() {
    let upstream = upstream().await;
    // message_start and content_block_start come; no text ever does.
    upstream.set_fault("hang:540".parse().unwrap());
    let error = build(single(ProviderKind::Anthropic, &upstream))
        .stream(&ask("x"), soon())
        .await;
    assert!(error.unwrap_err().is_timeout());
}

#[tokio::test]
async fn the_deadline_bounds_everything_and_leaves_time_for_the_fallback() {
    let (main, spare) = (upstream().await, upstream().await);
    main.set_fault(Fault::hang());
    let mut settings = chain(&main, &spare);
    settings.timeouts.first_token_ms = 60_000;
    settings.timeouts.total_ms = 60_000;
    let answer = build(settings.clone())
        .complete(&ask("x"), within(Duration::from_secs(3)))
        .await
        .unwrap();
    assert_eq!(answer.provider, "spare");

    spare.set_fault(Fault::hang());
    let client = build(settings);
    let began = Instant::now();
    let error = client
        .complete(&ask("x"), within(Duration::from_millis(600)))
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(error.attempts().len(), 2);
}

#[tokio::test]
async fn a_deadline_that_has_passed_sends_nothing() {
    let upstream = upstream().await;
    let error = build(single(BOTH[0], &upstream))
        .complete(&ask("x"), within(Duration::ZERO))
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_unreachable() {
    let gone = upstream().await;
    let settings = single(BOTH[0], &gone);
    drop(gone);
    let error = build(settings)
        .complete(&ask("x"), soon())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_instead_of_held() {
    for kind in BOTH {
        let upstream = upstream().await;
        upstream.set_fault(Fault::Huge { bytes: 300_000 });
        let mut settings = single(kind, &upstream);
        settings.limits.response_bytes = 100_000;
        settings.limits.streamed_text_bytes = 100_000;
        let client = build(settings);
        let mut request = ask("x");
        request.max_tokens = 1_000_000;
        let error = client.complete(&request, soon()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let heard = hear(&mut client.stream(&request, soon()).await.unwrap()).await;
        assert_eq!(heard.error.unwrap().kind(), ErrorKind::TooLarge);
        assert!(heard.finished.is_none() && heard.text.len() <= 100_000);
    }
}

#[tokio::test]
async fn one_event_over_the_limit_is_refused_instead_of_held() {
    let upstream = upstream().await;
    upstream.set_answer("word");
    let mut settings = single(ProviderKind::OpenAi, &upstream);
    settings.limits.event_bytes = 64;
    let error = build(settings).stream(&ask("x"), soon()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Garbled);
}

#[tokio::test]
async fn without_models_every_call_says_so() {
    let client = build(Config::default());
    assert!(!client.has_models() && client.models().is_empty() && client.health().is_empty());
    let mut request = ask("x");
    assert_eq!(
        client.complete(&request, soon()).await.unwrap_err().kind(),
        ErrorKind::NotConfigured
    );
    request.model = "m".into();
    assert_eq!(
        client.stream(&request, soon()).await.unwrap_err().kind(),
        ErrorKind::NotConfigured
    );
}

#[tokio::test]
async fn a_name_that_is_not_configured_is_unknown() {
    let upstream = upstream().await;
    let client = build(single(BOTH[0], &upstream));
    let mut request = ask("x");
    request.model = "n".into();
    let error = client.complete(&request, soon()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownModel);
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn a_misconfigured_fallback_does_not_hide_that_the_first_was_overloaded() {
    let (main, spare) = (upstream().await, upstream().await);
    main.set_fault(Fault::status(529));
    spare.set_fault(Fault::status(401));
    let error = build(chain(&main, &spare))
        .complete(&ask("x"), soon())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.deployment(), Some("main/test-model"));
    assert!(error.attempts().iter().any(|one| one.status == Some(401)));
}

#[tokio::test]
async fn attempts_are_bounded_over_all_deployments() {
    let upstream = upstream().await;
    upstream.set_fault(Fault::status(500));
    let names = ["a", "b", "c", "d", "e"];
    let settings = config(
        vec![provider("main", BOTH[0], &upstream)],
        vec![mainstay_ai::ModelConfig::new(
            "m",
            names.map(|name| ("main", name)),
        )],
    );
    let error = build(settings)
        .complete(&ask("x"), soon())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Upstream);
    assert_eq!(upstream.request_count(), 4);
}
