//! The knowledge base over HTTP.

use crate::{
    harness::TestServer,
    team::{assert_invalid, assert_refused},
};
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/knowledge";

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_added_found_rewritten_and_deleted_and_each_is_on_record() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let draft =
        json!({"title": "Tides", "source": "tides.md", "content": "The moon pulls the sea."});
    let added = server.post(&ada, PATH, draft, 201).await;
    let one = format!("{PATH}/{}", added["id"].as_str().unwrap());
    let listed = server.read(&ada, &format!("{PATH}?limit=1")).await;
    assert_eq!(listed["items"][0]["characters"], 23);
    assert!(listed["items"][0].get("content").is_none());
    let search = format!("{PATH}/search?q=what+pulls+the+sea");
    let found = server.read(&ada, &search).await;
    assert_eq!(found["items"][0]["document_id"], added["id"]);

    let rewrite = json!({"title": "Tides", "content": "Earth turns below two bulges."});
    let put = |version: &'static str| {
        let request = server.as_person(&ada, Method::PUT, &one);
        request.header("if-match", version).json(&rewrite).send()
    };
    let stale = put("\"7\"").await.unwrap();
    assert_eq!(stale.status(), 412);
    let written = put("\"1\"").await.unwrap();
    assert_eq!(written.headers()["etag"], "\"2\"");
    let gone = server.read(&ada, &search).await;
    assert_eq!(gone["items"], json!([]));

    let deleted = server.ask(&ada, Method::DELETE, &one, Value::Null).await;
    assert_eq!(deleted.0, 204);
    let missing = server.ask(&ada, Method::GET, &one, Value::Null).await;
    assert_refused(&missing, "NOT_FOUND");
    for action in ["knowledge.added", "knowledge.changed", "knowledge.deleted"] {
        assert_eq!(server.audited(&ada, action).await, 1, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_its_workspaces_and_its_operators_business() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let (eve, _) = server.invite(&ada, "member", "eve@example.org").await;
    let bob = server.register("bob@example.org").await;
    let draft = json!({"title": "Plan", "content": "Secret harbour works."});
    let added = server.post(&ada, PATH, draft.clone(), 201).await;
    let one = format!("{PATH}/{}", added["id"].as_str().unwrap());

    assert_eq!(server.read(&eve, &one).await["title"], "Plan");
    let written = server.ask(&eve, Method::POST, PATH, draft.clone()).await;
    assert_refused(&written, "FORBIDDEN");
    for method in [Method::GET, Method::DELETE] {
        let foreign = server.ask(&bob, method, &one, Value::Null).await;
        assert_refused(&foreign, "NOT_FOUND");
    }
    let foreign = server.ask(&bob, Method::PUT, &one, draft).await;
    assert_refused(&foreign, "NOT_FOUND");
    let found = server.read(&bob, &format!("{PATH}/search?q=harbour")).await;
    assert_eq!(found["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_document_or_a_list_is_refused_by_name() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let draft = json!({"title": "Tides", "content": "x", "colour": "blue"});
    let unknown = server.ask(&ada, Method::POST, PATH, draft).await;
    assert_invalid(&unknown, "/colour");
    let blank = json!({"title": "  ", "content": "x"});
    let blank = server.ask(&ada, Method::POST, PATH, blank).await;
    assert_invalid(&blank, "/title");
    for (query, status) in [
        ("limit=-1", 422),
        ("limit=0", 422),
        ("limit=201", 422),
        ("cursor=tomorrow", 422),
        ("page=2", 422),
    ] {
        let path = format!("{PATH}?{query}");
        let answer = server.ask(&ada, Method::GET, &path, Value::Null).await;
        assert_eq!(answer.0, status, "{query}: {}", answer.1);
    }
    let path = format!("{PATH}/seven");
    let no_id = server.ask(&ada, Method::GET, &path, Value::Null).await;
    assert_refused(&no_id, "NOT_FOUND");
    let path = format!("{PATH}/search?q=a%00b");
    let nul = server.ask(&ada, Method::GET, &path, Value::Null).await;
    assert_refused(&nul, "VALIDATION_ERROR");
}
