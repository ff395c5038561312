//! Agents over HTTP.

use crate::{
    harness::{Person, TestServer, with_upstream},
    team::{assert_invalid, assert_refused},
};
use mainstay_testkit::upstream::ScriptedUpstream;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/api/v1/agents";

async fn state_becomes(server: &TestServer, person: &Person, one: &str, state: &str) {
    let becomes = async {
        while server.read(person, one).await["state"] != state {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), becomes).await;
    assert!(waited.is_ok(), "the agent never became {state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_when_it_is_ready_and_its_work_is_kept_and_counted() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| {
        with_upstream(s, &upstream);
        s.limits.agents_per_minute = 10_000;
    })
    .await;
    let ada = server.register("ada@example.org").await;
    let draft = json!({"name": "Harbour master", "kind": "planner"});
    let made = server.post(&ada, PATH, draft, 201).await;
    assert_eq!(made["state"], "ready");
    let one = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let (actions, execute) = (format!("{one}/actions"), format!("{one}/execute"));
    let act = async |action: &str| {
        let body = json!({"action": action, "reason": "test"});
        server.ask(&ada, Method::POST, &actions, body).await
    };
    assert_eq!(act("pause").await.1["state"], "paused");
    let work = json!({"content": "Which ship leaves first?"});
    let refused = server.ask(&ada, Method::POST, &execute, work.clone()).await;
    assert_refused(&refused, "CONFLICT");
    assert_refused(&act("pause").await, "CONFLICT");
    assert_eq!(act("resume").await.1["state"], "ready");

    let answer = server.post(&ada, &execute, work, 201).await;
    assert_eq!(answer["role"], "assistant");
    assert_eq!(answer["conversation_id"], made["conversation_id"]);
    state_becomes(&server, &ada, &one, "ready").await;
    let said = server.read(&ada, &format!("{one}/interactions")).await;
    assert_eq!(said["items"].as_array().unwrap().len(), 2, "{said}");
    let metrics = server.read(&ada, &format!("{one}/metrics")).await;
    assert_eq!(
        (&metrics["requests"], &metrics["succeeded"]),
        (&json!(1), &json!(1))
    );

    for _ in 0..2 {
        let ended = server.ask(&ada, Method::DELETE, &one, Value::Null).await;
        assert_eq!(ended.0, 204, "{}", ended.1);
    }
    assert_eq!(server.read(&ada, &one).await["state"], "terminated");
    assert_refused(&act("resume").await, "CONFLICT");
    for action in [
        "agent.created",
        "agent.paused",
        "agent.resumed",
        "agent.terminated",
    ] {
        assert_eq!(server.audited(&ada, action).await, 1, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_its_owners_alone() {
    let server = TestServer::start_with(|s| s.limits.agents_per_minute = 10_000).await;
    let ada = server.register("ada@example.org").await;
    let (eve, _) = server
        .invite(&ada, "administrator", "eve@example.org")
        .await;
    let bob = server.register("bob@example.org").await;
    let draft = json!({"name": "Pilot", "kind": "planner"});
    let made = server.post(&ada, PATH, draft, 201).await;
    let one = format!("{PATH}/{}", made["id"].as_str().unwrap());
    for person in [&eve, &bob] {
        assert_eq!(server.read(person, PATH).await["items"], json!([]));
        for part in ["", "/interactions", "/metrics"] {
            let path = format!("{one}{part}");
            let answer = server.ask(person, Method::GET, &path, Value::Null).await;
            assert_refused(&answer, "NOT_FOUND");
        }
        for (part, body) in [
            ("/actions", json!({"action": "pause"})),
            ("/execute", json!({"content": "Hello?"})),
        ] {
            let path = format!("{one}{part}");
            let answer = server.ask(person, Method::POST, &path, body).await;
            assert_refused(&answer, "NOT_FOUND");
        }
        let ended = server.ask(person, Method::DELETE, &one, Value::Null).await;
        assert_refused(&ended, "NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_agent_or_a_step_is_refused_by_name() {
    let server = TestServer::start_with(|s| s.limits.agents_per_minute = 10_000).await;
    let ada = server.register("ada@example.org").await;
    let draft = json!({"name": "Pilot", "kind": "planner"});
    let made = server.post(&ada, PATH, draft.clone(), 201).await;
    let taken = server.ask(&ada, Method::POST, PATH, draft).await;
    assert_refused(&taken, "CONFLICT");
    let stranger = "018f2d0e-7b1a-7c3d-9e4f-0123456789ab";
    for (body, pointer) in [
        (json!({"name": "", "kind": "x"}), "/name"),
        (json!({"name": "a", "kind": "x", "colour": 1}), "/colour"),
        (
            json!({"name": "a", "kind": "x", "persona_id": stranger}),
            "/persona_id",
        ),
        (
            json!({"name": "a", "kind": "x", "persona_id": "1"}),
            "/persona_id",
        ),
    ] {
        let answer = server.ask(&ada, Method::POST, PATH, body).await;
        assert_invalid(&answer, pointer);
    }
    let actions = format!("{PATH}/{}/actions", made["id"].as_str().unwrap());
    let step = json!({"action": "dance"});
    let step = server.ask(&ada, Method::POST, &actions, step).await;
    assert_invalid(&step, "/action");
    let path = format!("{PATH}?limit=-1");
    let limit = server.ask(&ada, Method::GET, &path, Value::Null).await;
    assert_refused(&limit, "VALIDATION_ERROR");
}
