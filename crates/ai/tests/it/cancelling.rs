//! Who leaves stops the provider, whatever it is doing.

use std::time::{Duration, Instant};

use mainstay_testkit::upstream::{Ended, Fault, Pace, RecordedRequest, ScriptedUpstream};

use crate::{BOTH, ask, build, single, soon, upstream};

/// The product promises 100 ms; the rest is for a machine that runs every test
/// at once.
const PROMPTLY: Duration = Duration::from_secs(1);

fn one_left(requests: &[RecordedRequest]) -> bool {
    matches!(requests, [one] if one.ended == Ended::ClientLeft)
}

async fn sees_the_client_leave(upstream: &ScriptedUpstream) {
    let left = Instant::now();
    upstream.wait_for(one_left).await;
    assert!(left.elapsed() < PROMPTLY, "{:?}", left.elapsed());
}

#[tokio::test]
async fn a_dropped_stream_stops_the_provider_and_is_still_billed() {
    for kind in BOTH {
        let upstream = upstream().await;
        upstream.set_pace(Pace {
            first_millis: 0,
            event_millis: 20,
        });
        let client = build(single(kind, &upstream));
        let mut stream = client
            .stream(&ask(&"word ".repeat(500)), soon())
            .await
            .unwrap();
        for _ in 0..5 {
            stream.next().await.unwrap().unwrap();
        }
        let used = stream.usage_so_far();
        assert!(used.input_tokens > 0 && used.output_tokens > 0 && stream.usage_is_estimate());
        drop(stream);
        sees_the_client_leave(&upstream).await;
    }
}

#[tokio::test]
async fn leaving_before_the_first_word_stops_the_provider() {
    for kind in BOTH {
        for fault in [
            Fault::hang(),
            Fault::Hang {
                after_bytes: Some(20),
            },
        ] {
            let upstream = upstream().await;
            upstream.set_fault(fault);
            let client = build(single(kind, &upstream));
            {
                let request = ask("x");
                let mut waiting = Box::pin(client.stream(&request, soon()));
                tokio::select! {
                    _ = &mut waiting => unreachable!("it hangs"),
                    _ = upstream.wait_for(|all| all.len() == 1) => {}
                }
            }
            sees_the_client_leave(&upstream).await;
        }
    }
}

#[tokio::test]
async fn leaving_a_whole_answer_stops_the_provider() {
    for kind in BOTH {
        let upstream = upstream().await;
        upstream.set_fault(Fault::hang());
        let client = build(single(kind, &upstream));
        {
            let request = ask("x");
            let mut waiting = Box::pin(client.complete(&request, soon()));
            tokio::select! {
                _ = &mut waiting => unreachable!("it hangs"),
                _ = upstream.wait_for(|all| all.len() == 1) => {}
            }
        }
        sees_the_client_leave(&upstream).await;
    }
}

#[tokio::test]
async fn leaving_is_not_held_against_the_provider() {
    let upstream = upstream().await;
    upstream.set_fault(Fault::hang());
    let client = build(single(BOTH[0], &upstream));
    for _ in 0..8 {
        let _ = tokio::time::timeout(
            Duration::from_millis(20),
            client.complete(&ask("x"), soon()),
        )
        .await;
    }
    upstream.set_fault(Fault::None);
    assert_eq!(client.health()[0].state, "closed");
    client.complete(&ask("x"), soon()).await.unwrap();
}
