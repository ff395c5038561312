//! Redis and Postgres die and come back; nothing acknowledged is lost and
//! nobody has to restart anything.

use crate::harness::{Person, TestServer, problem, with_upstream};
use mainstay_testkit::{
    postgres::PrivatePostgres, redis::PrivateRedis, upstream::ScriptedUpstream,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const EXECUTE: &str = "/api/v1/ai/execute";

async fn ask(server: &TestServer, person: &Person, prompt: &str) -> Value {
    server
        .post(person, EXECUTE, json!({ "prompt": prompt }), 200)
        .await
}

/// Asks until `is_so`, for a bounded time.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn component(server: &TestServer, name: &str) -> String {
    let body: Value = server.get("/ready").await.json().await.unwrap();
    let components = body["components"].as_array().unwrap();
    let found = components.iter().find(|c| c["name"] == name).unwrap();
    found["state"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_may_die_and_come_back_without_anybody_noticing() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let redis = PrivateRedis::start().await.unwrap();
    let server = TestServer::start_with(|settings| {
        with_upstream(settings, &upstream);
        settings.redis.url = Some(redis.url().into());
    })
    .await;
    let ada = server.register("ada@example.org").await;
    assert_eq!(ask(&server, &ada, "One?").await["provenance"], "model");
    until("redis in use", async || {
        component(&server, "redis").await == "ready"
    })
    .await;

    redis.kill9().await.unwrap();
    for n in 0..20 {
        let started = Instant::now();
        let answer = ask(&server, &ada, &format!("While away {n}?")).await;
        assert_eq!(answer["provenance"], "model", "{answer}");
        assert_eq!(ask(&server, &ada, "One?").await["provenance"], "cache.hot");
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "a request waited for Redis"
        );
    }
    assert_eq!(server.get("/ready").await.status(), 200);

    redis.restart().await.unwrap();
    until("redis in use again", async || {
        component(&server, "redis").await == "ready"
    })
    .await;
    // The shared tier is written again: another server finds the answer there.
    until("an answer in the shared tier", async || {
        let prompt = format!("After {:?}?", Instant::now());
        ask(&server, &ada, &prompt).await;
        redis_has_entries(&redis).await
    })
    .await;
}

/// Whether the server holds any entry of the cache, asked over its own protocol.
async fn redis_has_entries(redis: &PrivateRedis) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = format!("127.0.0.1:{}", redis.port());
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let commands = format!("AUTH {}\r\nDBSIZE\r\nQUIT\r\n", redis.password());
    socket.write_all(commands.as_bytes()).await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    let size = reply
        .lines()
        .find_map(|line| line.strip_prefix(':'))
        .unwrap();
    size.trim().parse::<u64>().unwrap() > 1
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_may_die_and_come_back_and_nothing_acknowledged_is_missing() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let postgres = PrivatePostgres::start().await.unwrap();
    let server = TestServer::start_on(&postgres.url(), |settings| {
        with_upstream(settings, &upstream);
        settings.server.request_timeout_seconds = 8;
    })
    .await;
    server.wait_until_ready().await;
    let ada = server.register("ada@example.org").await;
    let conversation = server
        .post(&ada, "/api/v1/conversations", json!({"title": "Log"}), 201)
        .await;
    let messages = format!(
        "/api/v1/conversations/{}/messages",
        conversation["id"].as_str().unwrap()
    );
    let mut acknowledged = Vec::new();
    for n in 0..5 {
        let content = format!("Entry {n}");
        let message = server
            .post(&ada, &messages, json!({ "content": content }), 201)
            .await;
        acknowledged.push(message["id"].clone());
    }
    assert_eq!(ask(&server, &ada, "Known?").await["provenance"], "model");

    postgres.kill9().await.unwrap();
    let asked = upstream.request_count();
    // What is cached goes on.
    assert_eq!(
        ask(&server, &ada, "Known?").await["provenance"],
        "cache.hot"
    );
    // What is not gets the default answer, and no model is called for it.
    let answer = ask(&server, &ada, "Unknown?").await;
    assert_eq!(answer["provenance"], "default", "{answer}");
    assert_eq!(answer["degraded"], true);
    assert_eq!(
        upstream.request_count(),
        asked,
        "a model was called unrecorded"
    );
    // Writes say when to come back.
    let write = server
        .as_person(&ada, Method::POST, &messages)
        .json(&json!({"content": "Lost?"}))
        .send()
        .await
        .unwrap();
    assert_eq!(write.status(), 503);
    assert_eq!(problem(write).await["code"], "DEPENDENCY_UNAVAILABLE");

    postgres.restart().await.unwrap();
    until("a model's answer again", async || {
        let prompt = format!("Back {:?}?", Instant::now());
        ask(&server, &ada, &prompt).await["provenance"] == "model"
    })
    .await;
    let list: Value = server
        .as_person(&ada, Method::GET, &format!("{messages}?limit=200"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let stored: Vec<&Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["id"])
        .collect();
    for id in &acknowledged {
        assert!(stored.contains(&id), "{id} was acknowledged and is missing");
    }
    let contents = list.to_string();
    assert!(!contents.contains("Lost?"), "a refused write was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_postgres_delays_nobody_beyond_the_deadline() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let postgres = PrivatePostgres::start().await.unwrap();
    let server = TestServer::start_on(&postgres.url(), |settings| {
        with_upstream(settings, &upstream);
        settings.server.request_timeout_seconds = 4;
    })
    .await;
    server.wait_until_ready().await;
    let ada = server.register("ada@example.org").await;
    assert_eq!(ask(&server, &ada, "Known?").await["provenance"], "model");
    postgres.freeze();
    let started = Instant::now();
    assert_eq!(
        ask(&server, &ada, "Known?").await["provenance"],
        "cache.hot"
    );
    let answer = ask(&server, &ada, "Unknown?").await;
    assert_eq!(answer["provenance"], "default", "{answer}");
    assert!(
        started.elapsed() < Duration::from_secs(6),
        "the deadline did not hold"
    );
    postgres.thaw();
    until("a model's answer again", async || {
        let prompt = format!("Back {:?}?", Instant::now());
        ask(&server, &ada, &prompt).await["provenance"] == "model"
    })
    .await;
}
