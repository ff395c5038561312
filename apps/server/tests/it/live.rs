//! The WebSocket as a client sees it.

use crate::{
    harness::{TestServer, with_upstream},
    sockets::{close_code, connect, introduced, receive, send, to_the_end},
};
use futures_util::{SinkExt as _, StreamExt as _};
use mainstay_testkit::upstream::ScriptedUpstream;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashSet;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_step_by_step() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let mut socket = introduced(&server, &ada).await;
    send(
        &mut socket,
        json!({"type": "ask", "id": "2", "prompt": "Why?"}),
    )
    .await;
    let started = receive(&mut socket, "started").await;
    assert_eq!(started["reply_to"], "2");
    receive(&mut socket, "delta").await;
    let done = receive(&mut socket, "done").await;
    assert_eq!(done["data"]["run_id"], started["data"]["run_id"]);
    assert_eq!(done["data"]["provenance"], "model");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_forged_tokens_are_shown_out() {
    let server = TestServer::start().await;
    let mut socket = connect(&server).await;
    send(&mut socket, json!({"type": "auth", "token": "forged"})).await;
    assert_eq!(close_code(&mut socket).await, 4401);
    let mut socket = connect(&server).await;
    send(&mut socket, json!({"type": "ping"})).await;
    assert_eq!(close_code(&mut socket).await, 4401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sixth_connection_of_one_person_is_refused() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(introduced(&server, &ada).await);
    }
    let mut sixth = connect(&server).await;
    send(&mut sixth, json!({"type": "auth", "token": ada.token})).await;
    assert_eq!(close_code(&mut sixth).await, 1008);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_frame_is_closed_with_1009() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let mut socket = introduced(&server, &ada).await;
    let big = "x".repeat(200_000);
    let _ = socket.send(Message::text(big)).await;
    assert_eq!(close_code(&mut socket).await, 1009);
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_conversation_can_be_followed_and_no_other() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let bob = server.register("bob@example.org").await;
    let conversation = server
        .post(&ada, "/api/v1/conversations", json!({}), 201)
        .await;
    let id = conversation["id"].as_str().unwrap();
    let topic = format!("conversation.{id}");
    let subscribe = json!({"type": "subscribe", "id": "1", "topics": [{"topic": topic}]});
    let mut theirs = introduced(&server, &bob).await;
    send(&mut theirs, subscribe.clone()).await;
    let Message::Text(text) = theirs.next().await.unwrap().unwrap() else {
        panic!("not a text frame");
    };
    let refused: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(refused["data"]["code"], "NOT_FOUND");
    let mut own = introduced(&server, &ada).await;
    send(&mut own, subscribe).await;
    let subscribed = receive(&mut own, "subscribed").await;
    assert_eq!(subscribed["data"]["topics"][0]["topic"], topic);
    let path = format!("/api/v1/conversations/{id}/messages");
    server
        .post(&ada, &path, json!({"content": "Hi"}), 201)
        .await;
    let event = receive(&mut own, "message.finished").await;
    assert_eq!(event["topic"], topic);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_says_goodbye_and_spreads_those_who_come_back() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(introduced(&server, &ada).await);
    }
    server.begin_drain();
    let farewells = async {
        let mut delays = HashSet::new();
        for socket in &mut sockets {
            let (frames, code) = to_the_end(socket).await;
            assert_eq!(code, 1012);
            let bye = frames.last().unwrap();
            assert_eq!(bye["type"], "bye", "{bye}");
            assert_eq!(bye["data"]["code"], 1012);
            delays.insert(bye["data"]["retry_ms"].as_u64().unwrap());
        }
        delays
    };
    let (delays, _) = tokio::join!(farewells, server.stop());
    assert_eq!(delays.len(), 4, "all at once: {delays:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_no_place_is_told_where_to_poll() {
    let server = TestServer::start_with(|s| s.realtime.max_connections = 1).await;
    let ada = server.register("ada@example.org").await;
    let _first = introduced(&server, &ada).await;
    let (frames, code) = to_the_end(&mut connect(&server).await).await;
    assert_eq!(code, 1013);
    let kinds: Vec<_> = frames.iter().map(|frame| &frame["type"]).collect();
    assert_eq!(kinds, ["degraded", "bye"]);
    let degraded = &frames[0]["data"];
    assert_eq!(degraded["mode"], "polling");
    assert!(degraded["interval_ms"].as_u64().unwrap() >= 1_000);
    assert!(frames[1]["data"]["retry_ms"].as_u64().unwrap() >= 1_000);
    let poll = format!(
        "{}?topics=system_alerts",
        degraded["poll_url"].as_str().unwrap()
    );
    let polled = server.as_person(&ada, Method::GET, &poll).send().await;
    assert_eq!(polled.unwrap().status(), 200);
}
