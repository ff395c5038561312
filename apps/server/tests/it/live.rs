//! The WebSocket as a client sees it.

use crate::harness::{Person, TestServer, with_upstream};
use futures_util::{SinkExt as _, StreamExt as _};
use mainstay_testkit::upstream::ScriptedUpstream;
use serde_json::{Value, json};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

async fn connect(server: &TestServer) -> Socket {
    let url = format!("ws://{}/ws", server.address());
    let mut request = url.into_client_request().unwrap();
    let protocol = "mainstay.v1".parse().unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    connect_async(request).await.unwrap().0
}

async fn send(socket: &mut Socket, frame: Value) {
    let text = frame.to_string();
    socket.send(Message::text(text)).await.unwrap();
}

/// The next frame of `kind`; others are passed over.
async fn receive(socket: &mut Socket, kind: &str) -> Value {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                if frame["type"] == kind {
                    return frame;
                }
                assert_ne!(frame["type"], "error", "{frame}");
            }
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?} instead of {kind}"),
        }
    }
}

async fn close_code(socket: &mut Socket) -> u16 {
    while let Some(message) = socket.next().await {
        if let Ok(Message::Close(Some(close))) = message {
            return close.code.into();
        }
    }
    0
}

async fn introduced(server: &TestServer, person: &Person) -> Socket {
    let mut socket = connect(server).await;
    send(&mut socket, json!({"type": "auth", "token": person.token})).await;
    receive(&mut socket, "authenticated").await;
    socket
}

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
async fn a_stop_says_goodbye() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let mut socket = introduced(&server, &ada).await;
    server.begin_drain();
    let (code, _) = tokio::join!(close_code(&mut socket), server.stop());
    assert_eq!(code, 1012);
}
