//! Policies, their dry run, and what is on record.

use crate::{
    harness::TestServer,
    team::{assert_invalid, assert_refused},
};
use reqwest::Method;
use serde_json::{Value, json};

const POLICIES: &str = "/api/v1/governance/policies";
const EVALUATE: &str = "/api/v1/governance/policies/evaluate";

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_in_force_for_the_next_question_and_its_refusal_is_on_record() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let policies = json!({
        "level": "strict", "request_ceiling_usd": "0.25", "blocked_terms": ["Kraken"],
    });
    let (status, changed) = server.ask(&ada, Method::PUT, POLICIES, policies).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["blocked_terms"], json!(["kraken"]));
    assert_eq!(
        server.read(&ada, POLICIES).await["request_ceiling_usd"],
        "0.25"
    );

    let question = json!({"prompt": "Where does the KRAKEN sleep?"});
    let judged = server.post(&ada, EVALUATE, question.clone(), 200).await;
    assert_eq!(judged["verdict"], "deny");
    assert_eq!(judged["refused_with"], "GOVERNANCE_DENIED");
    assert_eq!(judged["decisions"][0]["rule_id"], "content.blocked_term");
    let path = "/api/v1/governance/decisions";
    assert_eq!(
        server.read(&ada, path).await["items"],
        json!([]),
        "a dry run is not logged"
    );

    let asked = server
        .ask(&ada, Method::POST, "/api/v1/ai/execute", question)
        .await;
    assert_refused(&asked, "GOVERNANCE_DENIED");
    let logged = server.read(&ada, path).await;
    let source = logged["items"][0]["source_id"].as_str().unwrap();
    let one = server
        .read(&ada, &format!("{path}?source_id={source}"))
        .await;
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let none = "018f2d0e-7b1a-7c3d-9e4f-0123456789ab";
    let none = server.read(&ada, &format!("{path}?source_id={none}")).await;
    assert_eq!(none["items"], json!([]));
    assert_eq!(server.audited(&ada, "workspace.changed").await, 1);
    assert_eq!(server.audited(&ada, "question.denied").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsed_question_shows_what_a_model_would_see() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let question = json!({
        "prompt": "Write to grace@example.org, please.", "context": "Nothing personal.",
    });
    let judged = server.post(&ada, EVALUATE, question, 200).await;
    assert_eq!(judged["verdict"], "redact");
    assert_eq!(judged["refused_with"], Value::Null);
    assert!(!judged["prompt"].as_str().unwrap().contains("grace"));
    assert_eq!(judged["context"], "Nothing personal.");
    let foreign = json!({"prompt": "Hi", "persona_id": "018f2d0e-7b1a-7c3d-9e4f-0123456789ab"});
    let foreign = server.ask(&ada, Method::POST, EVALUATE, foreign).await;
    assert_invalid(&foreign, "/persona_id");
}

#[tokio::test(flavor = "multi_thread")]
async fn governance_is_for_those_who_run_the_workspace_and_the_audit_log_for_administrators() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let (eve, _) = server.invite(&ada, "member", "eve@example.org").await;
    let (mel, _) = server.invite(&ada, "operator", "mel@example.org").await;
    let bob = server.register("bob@example.org").await;
    for path in [POLICIES, "/api/v1/governance/decisions"] {
        let member = server.ask(&eve, Method::GET, path, Value::Null).await;
        assert_refused(&member, "FORBIDDEN");
        server.read(&mel, path).await;
    }
    let policies = json!({"level": "permissive", "request_ceiling_usd": "1"});
    let operator = server.ask(&mel, Method::PUT, POLICIES, policies).await;
    assert_refused(&operator, "FORBIDDEN");
    let path = "/api/v1/governance/audit";
    let operator = server.ask(&mel, Method::GET, path, Value::Null).await;
    assert_refused(&operator, "FORBIDDEN");
    // Only what Bob did himself.
    let own = server.read(&bob, path).await;
    let me = server.read(&bob, "/api/v1/users/me").await;
    for row in own["items"].as_array().unwrap() {
        assert_eq!(row["actor_id"], me["id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_filter_or_policy_is_refused_by_name() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    for (query, pointer) in [
        ("actor_id=me", "/actor_id"),
        ("target_id=1", "/target_id"),
        ("correlation_id=x", "/correlation_id"),
        ("from=yesterday", "/from"),
        ("to=2026-13-01T00:00:00Z", "/to"),
        ("action=DROP+TABLE", "/action"),
        ("limit=0", "/limit"),
        ("colour=blue", "/colour"),
    ] {
        let path = format!("/api/v1/governance/audit?{query}");
        let answer = server.ask(&ada, Method::GET, &path, Value::Null).await;
        assert_invalid(&answer, pointer);
    }
    for (body, pointer) in [
        (
            json!({"level": "lax", "request_ceiling_usd": "1"}),
            "/level",
        ),
        (
            json!({"level": "strict", "request_ceiling_usd": "-1"}),
            "/request_ceiling_usd",
        ),
        (
            json!({"level": "strict", "request_ceiling_usd": "1", "blocked_terms": ["a", ""]}),
            "/blocked_terms/1",
        ),
    ] {
        let answer = server.ask(&ada, Method::PUT, POLICIES, body).await;
        assert_invalid(&answer, pointer);
    }
    let page = server.read(&ada, "/api/v1/governance/audit?limit=1").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let path = format!("/api/v1/governance/audit?limit=1&cursor={cursor}");
    let next = server.read(&ada, &path).await;
    assert_ne!(next["items"][0]["id"], page["items"][0]["id"]);
}
