//! What answers cost, as people see it.

use crate::{
    harness::{TestServer, with_upstream},
    team::assert_invalid,
};
use mainstay_testkit::upstream::ScriptedUpstream;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn members_see_their_own_usage_and_administrators_the_whole() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let (eve, eve_id) = server.invite(&ada, "member", "eve@example.org").await;
    let bob = server.register("bob@example.org").await;
    for (person, prompt) in [(&ada, "One?"), (&eve, "Two?"), (&bob, "Three?")] {
        let body = json!({"prompt": prompt});
        server.post(person, "/api/v1/ai/execute", body, 200).await;
    }
    let path = "/api/v1/usage?group_by=user";
    let whole = server.read(&ada, path).await;
    assert_eq!(whole["items"].as_array().unwrap().len(), 2, "{whole}");
    let own = server.read(&eve, path).await;
    let lines = own["items"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{own}");
    assert_eq!(lines[0]["key"], eve_id.as_str());
    assert_eq!(lines[0]["requests"], 1);
    assert!(lines[0]["usage"]["output_tokens"].as_u64().unwrap() > 0);
    let by_model = server.read(&ada, "/api/v1/usage?group_by=model").await;
    assert_eq!(by_model["items"][0]["requests"], 2);
    let before = "/api/v1/usage?to=2020-02-01T00:00:00Z";
    assert_eq!(server.read(&ada, before).await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_period_or_group_is_refused() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    for (query, pointer) in [
        ("from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "/from"),
        ("from=soon", "/from"),
        ("to=1", "/to"),
        ("group=day", "/group"),
    ] {
        let path = format!("/api/v1/usage?{query}");
        let answer = server.ask(&ada, Method::GET, &path, Value::Null).await;
        assert_invalid(&answer, pointer);
    }
    let path = "/api/v1/usage?group_by=weather";
    let (status, body) = server.ask(&ada, Method::GET, path, Value::Null).await;
    assert_eq!(status, 422, "{body}");
}
