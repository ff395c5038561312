//! The way down through the tiers, and what is written on it.

use crate::harness::{Person, TestServer, with_upstream};
use mainstay_server::settings::Settings;
use mainstay_testkit::{
    database::TestDatabase,
    redis::{shared_url, unique_prefix},
    upstream::ScriptedUpstream,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;

const EXECUTE: &str = "/api/v1/ai/execute";

/// A server with every tier, on things that outlive it.
async fn server_on(
    database: &TestDatabase,
    upstream: &ScriptedUpstream,
    state: &Path,
    redis: Option<&str>,
) -> TestServer {
    let server = TestServer::start_on(database.url(), |settings: &mut Settings| {
        with_upstream(settings, upstream);
        settings.server.state_dir = state.to_owned();
        settings.cache.warm_bytes = 64 * 1024 * 1024;
        if let Some(prefix) = redis {
            settings.redis.url = Some(shared_url().unwrap().into());
            settings.redis.prefix = prefix.to_owned();
        }
    })
    .await;
    server.wait_until_ready().await;
    server
}

async fn provenance(server: &TestServer, person: &Person, prompt: &str) -> String {
    let answer = server
        .post(person, EXECUTE, json!({ "prompt": prompt }), 200)
        .await;
    answer["provenance"].as_str().unwrap().to_owned()
}

async fn count(database: &TestDatabase, query: &str) -> i64 {
    let client = database.connect().await.unwrap();
    client.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_survives_restarts_in_each_tier_below_memory() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let database = TestDatabase::create().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let prefix = unique_prefix();
    let server = server_on(&database, &upstream, state.path(), Some(&prefix)).await;
    let ada = server.register("ada@example.org").await;
    assert_eq!(provenance(&server, &ada, "What holds?").await, "model");
    assert_eq!(provenance(&server, &ada, "What holds?").await, "cache.hot");
    let asked = upstream.request_count();
    server.stop().await;

    let server = server_on(&database, &upstream, state.path(), Some(&prefix)).await;
    assert_eq!(provenance(&server, &ada, "What holds?").await, "cache.warm");
    server.stop().await;

    // A machine of its own: the same keys, but nothing on its disk.
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(
        state.path().join("keyring.json"),
        elsewhere.path().join("keyring.json"),
    )
    .unwrap();
    let server = server_on(&database, &upstream, elsewhere.path(), Some(&prefix)).await;
    assert_eq!(
        provenance(&server, &ada, "What holds?").await,
        "cache.shared"
    );
    server.stop().await;

    // Neither disk nor Redis: the record in Postgres.
    let alone = tempfile::tempdir().unwrap();
    std::fs::copy(
        state.path().join("keyring.json"),
        alone.path().join("keyring.json"),
    )
    .unwrap();
    let server = server_on(&database, &upstream, alone.path(), None).await;
    assert_eq!(
        provenance(&server, &ada, "What holds?").await,
        "cache.shared"
    );
    assert_eq!(provenance(&server, &ada, "What holds?").await, "cache.hot");
    server.stop().await;
    assert_eq!(upstream.request_count(), asked, "a model was asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_workspace_persona_or_model_never_gets_the_first_ones_answer() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let persona = |name: &str, model: Option<&str>| json!({"name": name, "description": "", "system_prompt": "Be exact.", "model": model});
    let one = server
        .post(&ada, "/api/v1/personas", persona("One", None), 201)
        .await;
    let models = upstream_models(&server).await;
    let two = server
        .post(
            &ada,
            "/api/v1/personas",
            persona("Two", Some(&models[1])),
            201,
        )
        .await;
    let bob = server.register("bob@example.org").await;
    let asks = [
        (&ada, json!({"prompt": "Who?"})),
        (&bob, json!({"prompt": "Who?"})),
        (&ada, json!({"prompt": "Who?", "persona_id": one["id"]})),
        (&ada, json!({"prompt": "Who?", "persona_id": two["id"]})),
        (&ada, json!({"prompt": "Who?", "context": "On deck."})),
    ];
    for (person, ask) in &asks {
        let answer = server.post(person, EXECUTE, ask.clone(), 200).await;
        assert_eq!(answer["provenance"], "model", "{ask}: {answer}");
    }
    for (person, ask) in &asks {
        let answer = server.post(person, EXECUTE, ask.clone(), 200).await;
        assert_eq!(answer["provenance"], "cache.hot", "{ask}: {answer}");
    }
    assert_eq!(upstream.request_count(), asks.len());
}

/// The models that the vendors' variables make available.
async fn upstream_models(_: &TestServer) -> Vec<String> {
    mainstay_ai::Config::from_vendor_env(|name| {
        (name == "ANTHROPIC_API_KEY").then(|| "key".to_owned())
    })
    .models
    .into_iter()
    .map(|model| model.name)
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_use_cache_nothing_is_reused_and_nothing_kept() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let afresh = json!({"prompt": "Now?", "use_cache": false});
    for _ in 0..2 {
        let answer = server.post(&ada, EXECUTE, afresh.clone(), 200).await;
        assert_eq!(answer["provenance"], "model");
    }
    assert_eq!(provenance(&server, &ada, "Now?").await, "model");
    assert_eq!(upstream.request_count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_writes_nothing_at_once_and_everything_by_the_graceful_stop() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let database = TestDatabase::create().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let server = server_on(&database, &upstream, state.path(), None).await;
    let ada = server.register("ada@example.org").await;
    assert_eq!(provenance(&server, &ada, "Why?").await, "model");
    let hits = 37;
    for _ in 0..hits {
        assert_eq!(provenance(&server, &ada, "Why?").await, "cache.hot");
    }
    server.stop().await;
    let usage = count(
        &database,
        "SELECT count(*) FROM usage WHERE provenance = 'cache.hot'",
    )
    .await;
    assert_eq!(usage, hits);
    let audited =
        count(&database, "SELECT count(*) FROM audit a JOIN usage u ON u.provenance = 'cache.hot' AND (a.target_id = u.id OR a.target_id = u.source_id)").await;
    assert_eq!(audited, hits, "each hit has its audit row");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_with_one_question_costs_one_call() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let ask = || async {
        let request = server.as_person(&ada, Method::POST, EXECUTE);
        let response = request
            .json(&json!({"prompt": "All at once?"}))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        response.json::<Value>().await.unwrap()
    };
    let answers = futures_util::future::join_all((0..50).map(|_| ask())).await;
    assert_eq!(upstream.request_count(), 1);
    let paid = answers
        .iter()
        .filter(|a| a["provenance"] == "model")
        .count();
    assert_eq!(paid, 1, "one asked, the others waited with it");
    assert!(answers.iter().all(|a| a["answer"] == answers[0]["answer"]));
    let ids: std::collections::HashSet<_> = answers.iter().map(|a| a["id"].to_string()).collect();
    assert_eq!(ids.len(), answers.len());
}
