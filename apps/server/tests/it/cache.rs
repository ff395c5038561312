//! The cache, for those who run the workspace.

use crate::{
    harness::{TestServer, with_upstream},
    team::{assert_invalid, assert_refused},
};
use mainstay_testkit::upstream::ScriptedUpstream;
use reqwest::Method;
use serde_json::{Value, json};

const ENTRY: &str = "/api/v1/cache/tide:today";

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_stored_read_and_dropped_by_name_by_tag_and_with_all_others() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let value = json!({"value": {"high": [3, 15]}, "ttl_seconds": 600, "tags": ["sea"]});
    let store = async || {
        let (status, body) = server.ask(&ada, Method::PUT, ENTRY, value.clone()).await;
        assert_eq!(status, 200, "{body}");
    };
    let read = async || server.ask(&ada, Method::GET, ENTRY, Value::Null).await;
    store().await;
    let (status, entry) = read().await;
    assert_eq!((status, &entry["value"]), (200, &json!({"high": [3, 15]})));
    assert_eq!(entry["tier"], "hot");
    for (path, body) in [
        ("/api/v1/cache/invalidate", json!({"keys": ["tide:today"]})),
        ("/api/v1/cache/invalidate", json!({"tags": ["sea"]})),
        ("/api/v1/cache/clear", json!({})),
    ] {
        store().await;
        server.post(&ada, path, body.clone(), 200).await;
        assert_eq!(read().await.0, 404, "{path} {body}");
    }
    store().await;
    let dropped = server.ask(&ada, Method::DELETE, ENTRY, Value::Null).await;
    assert_eq!(dropped.0, 200);
    assert_eq!(read().await.0, 404);
    assert_eq!(server.audited(&ada, "cache.written").await, 5);
    assert_eq!(server.audited(&ada, "cache.invalidated").await, 3);
    assert_eq!(server.audited(&ada, "cache.cleared").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_belong_to_their_workspace_and_its_operators() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let (eve, _) = server.invite(&ada, "member", "eve@example.org").await;
    let (mel, _) = server.invite(&ada, "operator", "mel@example.org").await;
    let bob = server.register("bob@example.org").await;
    let value = json!({"value": 1, "tags": ["sea"]});
    let stored = server.ask(&ada, Method::PUT, ENTRY, value.clone()).await;
    assert_eq!(stored.0, 200);
    assert_eq!(server.read(&mel, ENTRY).await["value"], 1);
    for (method, body) in [(Method::GET, Value::Null), (Method::PUT, value)] {
        let member = server.ask(&eve, method, ENTRY, body).await;
        assert_refused(&member, "FORBIDDEN");
    }
    let foreign = server.ask(&bob, Method::GET, ENTRY, Value::Null).await;
    assert_refused(&foreign, "NOT_FOUND");
    // The same names and tags, and everything that Bob has, are not Ada's.
    server.ask(&bob, Method::DELETE, ENTRY, Value::Null).await;
    let tags = json!({"tags": ["sea"]});
    server
        .post(&bob, "/api/v1/cache/invalidate", tags, 200)
        .await;
    server
        .post(&bob, "/api/v1/cache/clear", json!({}), 200)
        .await;
    assert_eq!(server.read(&ada, ENTRY).await["value"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_entry_is_refused_by_name() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    for (path, body, pointer) in [
        (ENTRY, json!({"value": 1, "ttl_seconds": 0}), "/ttl_seconds"),
        (
            ENTRY,
            json!({"value": 1, "ttl_seconds": 86_401}),
            "/ttl_seconds",
        ),
        (
            ENTRY,
            json!({"value": 1, "tags": ["ok", "not ok"]}),
            "/tags/1",
        ),
        (ENTRY, json!({"ttl_seconds": 1}), "/value"),
        (ENTRY, json!({"value": 1, "colour": 2}), "/colour"),
        ("/api/v1/cache/a%20b", json!({"value": 1}), ""),
    ] {
        let answer = server.ask(&ada, Method::PUT, path, body).await;
        assert_invalid(&answer, pointer);
    }
    let path = "/api/v1/cache/invalidate";
    let nothing = server.ask(&ada, Method::POST, path, json!({})).await;
    assert_invalid(&nothing, "");
    let path = "/api/v1/cache/clear";
    let tier = server
        .ask(&ada, Method::POST, path, json!({"tier": "cold"}))
        .await;
    assert_invalid(&tier, "/tier");
}

#[tokio::test(flavor = "multi_thread")]
async fn clearing_reaches_answers_and_no_whole_tier_where_strangers_register() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let ask = async || {
        let path = "/api/v1/ai/execute";
        let answer = server
            .post(&ada, path, json!({"prompt": "High tide?"}), 200)
            .await;
        answer["provenance"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask().await, "model");
    assert_eq!(ask().await, "cache.hot");
    server
        .post(&ada, "/api/v1/cache/clear", json!({}), 200)
        .await;
    assert_eq!(ask().await, "cache.shared", "the record in Postgres stays");
    let path = "/api/v1/cache/clear";
    let tier = server
        .ask(&ada, Method::POST, path, json!({"tier": "hot"}))
        .await;
    assert_refused(&tier, "FORBIDDEN");
    let stats = server.read(&ada, "/api/v1/cache/stats").await;
    assert!(stats["hot"]["hits"].as_u64().unwrap() >= 1, "{stats}");
}
