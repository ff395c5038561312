//! The scripted upstream keeps its script, also for another process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use mainstay_testkit::upstream::{Ended, Fault, ScriptedUpstream};
use serde_json::{Value, json};

/// Status and body; a body that breaks off is `None`.
async fn send(
    url: &str,
    method: Method,
    headers: &[(&str, &str)],
    body: &Value,
) -> (u16, Option<String>) {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let response = client
        .request(request.body(body.into()).unwrap())
        .await
        .unwrap();
    let status = response.status().as_u16();
    let text = response.into_body().collect().await.ok();
    (
        status,
        text.map(|text| String::from_utf8_lossy(&text.to_bytes()).into_owned()),
    )
}

const KEY: (&str, &str) = ("authorization", "Bearer any");

async fn chat(
    upstream: &ScriptedUpstream,
    model: &str,
    headers: &[(&str, &str)],
) -> (u16, Option<String>) {
    let url = format!("{}/chat/completions", upstream.openai_url());
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
    send(&url, Method::POST, &[headers, &[KEY]].concat(), &body).await
}

async fn script(upstream: &ScriptedUpstream, method: Method, command: &Value) -> (u16, Value) {
    let url = format!("{}/_script", upstream.url());
    let (status, text) = send(&url, method, &[], command).await;
    (status, serde_json::from_str(&text.unwrap()).unwrap())
}

#[tokio::test]
async fn another_process_can_script_it_over_http() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let command = json!({
        "fault": "status:503",
        "push": ["status:429:7", "none"],
        "answer": "as told",
        "pace": {"first_millis": 1},
    });
    assert_eq!(script(&upstream, Method::POST, &command).await.0, 200);
    assert_eq!(chat(&upstream, "m", &[]).await.0, 429);
    let (status, body) = chat(&upstream, "m", &[]).await;
    assert_eq!((status, body.unwrap().contains("as told")), (200, true));
    assert_eq!(chat(&upstream, "m", &[]).await.0, 503);

    let (_, told) = script(&upstream, Method::GET, &Value::Null).await;
    assert_eq!(told["count"], 3);
    assert_eq!(told["requests"][0]["fault"], "status:429:7");
    assert_eq!(
        told["requests"][0]["body"]["messages"][0]["content"],
        "hello"
    );

    script(&upstream, Method::DELETE, &Value::Null).await;
    assert_eq!(upstream.request_count(), 0);
    let (status, body) = chat(&upstream, "m", &[]).await;
    assert_eq!(
        (status, body.unwrap().contains("Scripted answer to: hello")),
        (200, true)
    );
}

#[tokio::test]
async fn a_command_that_is_wrong_is_refused_and_changes_nothing() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    for command in [
        json!({"fault": "nonsense"}),
        json!({"falut": "hang"}),
        json!("hang"),
    ] {
        let (status, told) = script(&upstream, Method::POST, &command).await;
        assert_eq!(status, 400);
        assert!(told["error"].is_string());
    }
    assert_eq!(chat(&upstream, "m", &[]).await.0, 200);
}

#[tokio::test]
async fn a_request_can_choose_its_own_fault_over_what_is_scripted() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    upstream.set_fault(Fault::status(500));
    assert_eq!(chat(&upstream, "fault/status:401", &[]).await.0, 401);
    assert_eq!(
        chat(
            &upstream,
            "fault/status:401",
            &[("x-scripted-fault", "status:404")]
        )
        .await
        .0,
        404
    );
    assert_eq!(chat(&upstream, "m", &[]).await.0, 500);
    let (status, body) = chat(&upstream, "fault/truncate:1", &[]).await;
    assert_eq!((status, body), (200, None), "the body breaks off");
}

#[tokio::test]
async fn it_refuses_what_the_vendors_refuse() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let version = ("anthropic-version", "2023-06-01");
    let good =
        json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
    let messages = format!("{}/v1/messages", upstream.url());
    let mut no_limit = good.clone();
    no_limit["max_tokens"] = Value::Null;
    for (headers, body, status) in [
        (vec![KEY, version], &good, 200),
        (vec![version], &good, 401),
        (vec![KEY], &good, 400),
        (vec![KEY, version], &no_limit, 400),
        (vec![KEY, version], &json!("text"), 400),
    ] {
        assert_eq!(
            send(&messages, Method::POST, &headers, body).await.0,
            status,
            "{headers:?}"
        );
    }
    let nowhere = format!("{}/v1/nowhere", upstream.url());
    assert_eq!(send(&nowhere, Method::POST, &[KEY], &good).await.0, 404);
}

#[tokio::test]
async fn models_are_listed_in_the_shape_of_the_caller() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let url = format!("{}/models", upstream.openai_url());
    let (_, openai) = send(&url, Method::GET, &[KEY], &Value::Null).await;
    assert!(openai.unwrap().contains("\"object\":\"list\""));
    let (_, anthropic) = send(
        &url,
        Method::GET,
        &[KEY, ("anthropic-version", "2023-06-01")],
        &Value::Null,
    )
    .await;
    assert!(anthropic.unwrap().contains("\"has_more\":false"));
}

#[tokio::test]
async fn what_was_recorded_says_how_it_ended() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    chat(&upstream, "m", &[]).await;
    let requests = upstream
        .wait_for(|all| all.iter().all(|one| one.ended == Ended::Answered))
        .await;
    assert_eq!((requests.len(), requests[0].model()), (1, "m"));
    assert!(!requests[0].is_stream());
    assert_eq!(requests[0].headers["authorization"], "Bearer any");
}
