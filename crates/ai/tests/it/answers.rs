//! What a good call gives.

use std::time::Duration;

use mainstay_ai::{AttemptOutcome, ChatStream, Client, FinishReason, StreamEvent};
use mainstay_testkit::upstream::{Ended, Fault, Pace};

use crate::{BOTH, ask, build, hear, single, soon, upstream};

#[tokio::test]
async fn a_whole_answer_comes_with_its_provenance_and_the_providers_usage() {
    for kind in BOTH {
        let upstream = upstream().await;
        let answer = build(single(kind, &upstream))
            .complete(&ask("why?"), soon())
            .await
            .unwrap();
        assert_eq!(answer.text, "Scripted answer to: why?");
        assert_eq!(answer.finish, FinishReason::Stop);
        assert_eq!(
            (answer.provider.as_str(), answer.model.as_str()),
            ("main", "test-model")
        );
        assert_eq!(answer.requested_model, "m");
        assert_eq!(answer.usage.output_tokens, 6);
        assert!(answer.usage.input_tokens > 0 && !answer.usage_is_estimate);
        assert!(answer.upstream_id.is_some());
        assert_eq!(answer.attempts.len(), 1);
        assert_eq!(answer.attempts[0].outcome, AttemptOutcome::Answered);
        assert_eq!(answer.attempts[0].usage, Some(answer.usage));
        assert_eq!(upstream.request_count(), 1);
    }
}

#[tokio::test]
async fn a_stream_says_who_answers_then_the_text_then_that_it_is_whole() {
    for kind in BOTH {
        let upstream = upstream().await;
        let client = build(single(kind, &upstream));
        let mut stream = client.stream(&ask("why?"), soon()).await.unwrap();
        let first = stream.next().await.unwrap().unwrap();
        assert_eq!(
            first,
            StreamEvent::Started {
                model: "test-model".into(),
                provider: "main".into()
            }
        );
        let heard = hear(&mut stream).await;
        assert_eq!(heard.text, "Scripted answer to: why?");
        let finished = heard.finished.unwrap();
        assert_eq!(finished.text, heard.text);
        assert_eq!(finished.usage.output_tokens, 6);
        assert!(!finished.usage_is_estimate && !stream.usage_is_estimate());
        assert_eq!(stream.usage_so_far(), finished.usage);
        assert!(finished.time_to_first_token.is_some());
        assert!(heard.error.is_none() && heard.usages > 0);
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test]
async fn streamed_and_whole_answers_have_the_same_usage() {
    for kind in BOTH {
        let upstream = upstream().await;
        let client = build(single(kind, &upstream));
        let whole = client.complete(&ask("why?"), soon()).await.unwrap();
        let streamed = hear(&mut client.stream(&ask("why?"), soon()).await.unwrap()).await;
        assert_eq!(streamed.finished.unwrap().usage, whole.usage);
    }
}

#[tokio::test]
async fn the_limit_of_tokens_is_told_apart_from_the_end_of_the_answer() {
    for kind in BOTH {
        let upstream = upstream().await;
        upstream.set_answer("many many many words");
        let mut request = ask("go on");
        request.max_tokens = 2;
        let client = build(single(kind, &upstream));
        assert_eq!(
            client.complete(&request, soon()).await.unwrap().finish,
            FinishReason::Length
        );
        let heard = hear(&mut client.stream(&request, soon()).await.unwrap()).await;
        assert_eq!(heard.finished.unwrap().finish, FinishReason::Length);
    }
}

#[tokio::test]
async fn bytes_cut_anywhere_give_the_same_text() {
    let text = "é漢字🦀 – naïve “quotes”\nand\r\nlines";
    for kind in BOTH {
        for bytes in [1, 2, 3, 7] {
            let upstream = upstream().await;
            upstream.set_answer(text);
            upstream.set_fault(Fault::Split { bytes });
            let client = build(single(kind, &upstream));
            let heard = hear(&mut client.stream(&ask("x"), soon()).await.unwrap()).await;
            assert_eq!(
                heard.finished.unwrap().text,
                text,
                "{kind:?}, {bytes} bytes"
            );
            assert_eq!(client.complete(&ask("x"), soon()).await.unwrap().text, text);
        }
    }
}

#[tokio::test]
async fn an_empty_answer_is_an_answer() {
    for kind in BOTH {
        let upstream = upstream().await;
        upstream.set_answer("");
        let client = build(single(kind, &upstream));
        assert_eq!(client.complete(&ask("x"), soon()).await.unwrap().text, "");
        let heard = hear(&mut client.stream(&ask("x"), soon()).await.unwrap()).await;
        assert_eq!(heard.finished.unwrap().finish, FinishReason::Stop);
    }
}

#[tokio::test]
async fn events_that_come_twice_count_once() {
    for kind in BOTH {
        let upstream = upstream().await;
        let client = build(single(kind, &upstream));
        let once = client.complete(&ask("x"), soon()).await.unwrap();
        upstream.set_fault(Fault::DuplicateEvents);
        let twice = hear(&mut client.stream(&ask("x"), soon()).await.unwrap())
            .await
            .finished
            .unwrap();
        assert_eq!((twice.text, twice.usage), (once.text, once.usage));
    }
}

#[tokio::test]
async fn a_slow_answer_is_waited_for_as_long_as_it_moves() {
    for kind in BOTH {
        let upstream = upstream().await;
        // Longer in all than the idle limit, shorter between two events.
        upstream.set_pace(Pace {
            first_millis: 0,
            event_millis: 60,
        });
        let mut settings = single(kind, &upstream);
        settings.timeouts.first_token_ms = 500;
        settings.timeouts.idle_ms = 500;
        let client = build(settings);
        let heard = hear(&mut client.stream(&ask("a b c d e f"), soon()).await.unwrap()).await;
        let finished = heard.finished.unwrap();
        assert_eq!(finished.text, "Scripted answer to: a b c d e f");
        assert!(finished.elapsed > Duration::from_millis(500));
    }
}

#[tokio::test]
async fn what_the_provider_does_not_say_is_estimated_and_marked() {
    for kind in BOTH {
        let upstream = upstream().await;
        upstream.set_fault(Fault::NoUsage);
        let client = build(single(kind, &upstream));
        let whole = client.complete(&ask("x"), soon()).await.unwrap();
        assert!(
            whole.usage_is_estimate
                && whole.usage.input_tokens > 0
                && whole.usage.output_tokens > 0
        );
        let mut stream = client.stream(&ask("x"), soon()).await.unwrap();
        let streamed = hear(&mut stream).await.finished.unwrap();
        assert!(streamed.usage_is_estimate && stream.usage_is_estimate());
        assert!(streamed.usage.output_tokens >= 5);
    }
}

#[tokio::test]
async fn the_connection_is_used_again() {
    let upstream = upstream().await;
    let client = build(single(BOTH[0], &upstream));
    for _ in 0..3 {
        hear(&mut client.stream(&ask("x"), soon()).await.unwrap()).await;
    }
    let requests = upstream
        .wait_for(|all| all.iter().all(|one| one.ended == Ended::Answered))
        .await;
    assert_eq!(requests.len(), 3);
}

#[test]
fn clients_and_streams_cross_threads() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<ChatStream>();
    is_send::<Client>();
    is_sync::<Client>();
}
