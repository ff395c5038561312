//! A model's provider fails in every way, and the person still gets an answer.

use crate::harness::{Person, TestServer, problem, with_upstream};
use mainstay_testkit::upstream::{Cut, Fault, ScriptedUpstream};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const EXECUTE: &str = "/api/v1/ai/execute";

async fn with_knowledge(upstream: &ScriptedUpstream) -> (TestServer, Person) {
    let server = TestServer::start_with(|settings| {
        with_upstream(settings, upstream);
        settings.server.request_timeout_seconds = 6;
    })
    .await;
    let ada = server.register("ada@example.org").await;
    let document =
        json!({"title": "Rigging", "content": "A mainstay holds the mast from the bow."});
    server.post(&ada, "/api/v1/knowledge", document, 201).await;
    (server, ada)
}

fn faults() -> Vec<(&'static str, Fault)> {
    vec![
        ("refused connections", Fault::Disconnect),
        ("internal errors", Fault::status(500)),
        ("overload", Fault::status(529)),
        ("a rate limit", Fault::rate_limited(60)),
        ("garbage", Fault::Garbage),
        ("a page of HTML", Fault::Html),
        ("a hang before the first byte", Fault::hang()),
        (
            "a hang in the middle",
            Fault::Hang {
                after_bytes: Some(120),
            },
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_upstream_the_knowledge_base_answers_within_the_deadline() {
    for (name, fault) in faults() {
        let upstream = ScriptedUpstream::start().await.unwrap();
        let (server, ada) = with_knowledge(&upstream).await;
        upstream.set_fault(fault);
        let started = Instant::now();
        let ask = json!({"prompt": "What holds the mast?"});
        let answer = server.post(&ada, EXECUTE, ask, 200).await;
        assert_eq!(answer["provenance"], "knowledge", "{name}: {answer}");
        assert_eq!(answer["degraded"], true, "{name}");
        assert_eq!(answer["citations"][0]["title"], "Rigging", "{name}");
        assert!(
            started.elapsed() < Duration::from_secs(7),
            "{name} took too long"
        );
        upstream.set_fault(Fault::None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_degraded_answer_is_not_kept() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let (server, ada) = with_knowledge(&upstream).await;
    upstream.set_fault(Fault::status(400));
    let ask = json!({"prompt": "What holds the mast?"});
    let answer = server.post(&ada, EXECUTE, ask.clone(), 200).await;
    assert_eq!(answer["degraded"], true);
    upstream.set_fault(Fault::None);
    let answer = server.post(&ada, EXECUTE, ask, 200).await;
    assert_eq!(answer["provenance"], "model", "{answer}");
}

/// The events of a stream, by name and data.
async fn events(server: &TestServer, ada: &Person, prompt: &str) -> Vec<(String, Value)> {
    let response = server
        .as_person(ada, Method::POST, EXECUTE)
        .json(&json!({"prompt": prompt, "stream": true}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    text.split("\n\n")
        .filter_map(|block| {
            let field = |name: &str| {
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            let data = serde_json::from_str(field("data")?).unwrap();
            Some((field("event")?.to_owned(), data))
        })
        .collect()
}

/// What a reader of the stream ends up with: a reset withdraws what was shown.
fn shown(events: &[(String, Value)]) -> String {
    let mut text = String::new();
    for (event, data) in events {
        match event.as_str() {
            "delta" => text.push_str(data["text"].as_str().unwrap()),
            "reset" => text.clear(),
            _ => {}
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_midway_is_withdrawn_and_replaced_never_presented_as_whole() {
    let breaks = [
        Fault::cut_after(4),
        Fault::Truncate {
            after_events: 4,
            how: Cut::Clean,
        },
        Fault::MissingEnd,
        Fault::ErrorEvent {
            after_events: 4,
            kind: "overloaded_error".to_owned(),
        },
    ];
    for fault in breaks {
        let upstream = ScriptedUpstream::start().await.unwrap();
        let (server, ada) = with_knowledge(&upstream).await;
        upstream.set_fault(fault.clone());
        let events = events(&server, &ada, "What holds the mast?").await;
        let (last, done) = events.last().unwrap();
        assert_eq!(last, "done", "{fault:?}: {events:?}");
        assert_eq!(done["provenance"], "knowledge", "{fault:?}: {done}");
        assert_eq!(done["degraded"], true, "{fault:?}");
        assert_eq!(
            shown(&events),
            "A mainstay holds the mast from the bow.",
            "{fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_split_across_packets_arrive_whole() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let (server, ada) = with_knowledge(&upstream).await;
    upstream.set_answer("Äpfel, 船, 🚢 und mehr.");
    upstream.set_fault(Fault::Split { bytes: 1 });
    let events = events(&server, &ada, "Was?").await;
    assert_eq!(shown(&events), "Äpfel, 船, 🚢 und mehr.");
    assert_eq!(events.last().unwrap().1["provenance"], "model");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_a_one_shot_stream_stops_the_model() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let (server, ada) = with_knowledge(&upstream).await;
    upstream.set_answer("word ".repeat(400));
    upstream.set_fault(Fault::Drip { millis: 50 });
    let mut response = server
        .as_person(&ada, Method::POST, EXECUTE)
        .json(&json!({"prompt": "Go on.", "stream": true}))
        .send()
        .await
        .unwrap();
    while let Some(chunk) = response.chunk().await.unwrap() {
        if String::from_utf8_lossy(&chunk).contains("event: delta") {
            break;
        }
    }
    drop(response);
    let requests = upstream
        .wait_for(|requests| {
            requests
                .iter()
                .all(|r| r.ended == mainstay_testkit::upstream::Ended::ClientLeft)
        })
        .await;
    assert_eq!(requests.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_cost_too_much_is_refused_before_any_model_is_asked() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let (server, ada) = with_knowledge(&upstream).await;
    let response = server
        .as_person(&ada, Method::POST, EXECUTE)
        .json(&json!({"prompt": "Anything", "max_cost_usd": "0.000000001"}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 402);
    assert_eq!(problem(response).await["code"], "BUDGET_EXCEEDED");
    assert_eq!(upstream.request_count(), 0);
}
