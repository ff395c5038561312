//! Asking, one-shot and in conversations.

use crate::harness::{TestServer, problem, with_upstream};
use mainstay_testkit::upstream::ScriptedUpstream;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_is_answered_from_memory_the_second_time() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let question = json!({"prompt": "What holds a ship in a storm?"});
    let first = server
        .post(&ada, "/api/v1/ai/execute", question.clone(), 200)
        .await;
    assert_eq!(first["provenance"], "model", "{first}");
    assert_eq!(first["degraded"], false);
    let asked = upstream.request_count();
    let second = server
        .post(&ada, "/api/v1/ai/execute", question.clone(), 200)
        .await;
    assert_eq!(second["provenance"], "cache.hot", "{second}");
    assert_eq!(second["answer"], first["answer"]);
    assert_eq!(upstream.request_count(), asked);
    // Somebody else's entry is never theirs.
    let bob = server.register("bob@example.org").await;
    let theirs = server.post(&bob, "/api/v1/ai/execute", question, 200).await;
    assert_eq!(theirs["provenance"], "model");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_the_answer_says_that_it_is_less() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let answer = server
        .post(&ada, "/api/v1/ai/execute", json!({"prompt": "Hello?"}), 200)
        .await;
    assert_eq!(answer["degraded"], true);
    assert_eq!(answer["provenance"], "default");
    let document =
        json!({"title": "Mooring", "content": "A mainstay holds the mast from the bow."});
    server.post(&ada, "/api/v1/knowledge", document, 201).await;
    let question = json!({"prompt": "What holds the mast?"});
    let answer = server.post(&ada, "/api/v1/ai/execute", question, 200).await;
    assert_eq!(answer["provenance"], "knowledge", "{answer}");
    assert_eq!(answer["citations"][0]["title"], "Mooring");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_answer_begins_with_start_and_ends_with_done() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let response = server
        .as_person(&ada, Method::POST, "/api/v1/ai/execute")
        .json(&json!({"prompt": "Tell me.", "stream": true}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    assert!(text.starts_with("id: 1\nevent: start\n"), "{text}");
    assert!(text.contains("event: delta\n"), "{text}");
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains("event: done\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_keeps_what_was_said_and_its_stream_can_be_read_again() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let conversation = server
        .post(
            &ada,
            "/api/v1/conversations",
            json!({"title": "Ships"}),
            201,
        )
        .await;
    let path = format!(
        "/api/v1/conversations/{}/messages",
        conversation["id"].as_str().unwrap()
    );
    let message = server
        .post(&ada, &path, json!({"content": "What is a keel?"}), 201)
        .await;
    assert_eq!(message["role"], "assistant");
    assert_eq!(message["status"], "complete", "{message}");
    let list: Value = server
        .as_person(&ada, Method::GET, &path)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let stream = format!("{path}/{}/stream", message["id"].as_str().unwrap());
    let again = server
        .as_person(&ada, Method::GET, &stream)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(again.contains("event: done"), "{again}");
    let bob = server.register("bob@example.org").await;
    let theirs = server
        .as_person(&bob, Method::GET, &path)
        .send()
        .await
        .unwrap();
    assert_eq!(problem(theirs).await["code"], "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_with_its_key_is_replayed_and_another_body_is_refused() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let create = |title: &'static str| {
        server
            .as_person(&ada, Method::POST, "/api/v1/conversations")
            .header("idempotency-key", "one")
            .json(&json!({"title": title}))
            .send()
    };
    let first = create("Ships").await.unwrap();
    assert_eq!(first.status(), 201);
    let first: Value = first.json().await.unwrap();
    let again = create("Ships").await.unwrap();
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    let other = problem(create("Boats").await.unwrap()).await;
    assert_eq!(other["code"], "VALIDATION_ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mode_is_one_that_is_known_and_the_trace_is_handed_on() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let ask = |mode: &str, trace: &str| {
        server
            .as_person(&ada, Method::POST, "/api/v1/ai/execute")
            .header("traceparent", trace)
            .json(&json!({"prompt": "Why?", "mode": mode, "use_cache": false}))
            .send()
    };
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let refused = problem(ask("duel", trace).await.unwrap()).await;
    assert_eq!(refused["code"], "VALIDATION_ERROR");
    assert_eq!(refused["errors"][0]["pointer"], "/mode", "{refused}");
    let message = refused["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("combined"), "{message}");
    assert_eq!(ask("combined", trace).await.unwrap().status(), 200);
    assert_eq!(ask("combined", "nonsense").await.unwrap().status(), 200);
    let requests = upstream.requests();
    assert_eq!(requests[0].headers["traceparent"], trace);
    assert!(!requests[1].headers.contains_key("traceparent"));
}
