//! Asking over a WebSocket: in conversations, and what outlives the socket.

use crate::{
    harness::{Person, TestServer, with_upstream},
    sockets::{introduced, receive, send},
};
use mainstay_testkit::upstream::{Ended, Pace, ScriptedUpstream};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

async fn conversation(server: &TestServer, person: &Person) -> String {
    let made = server
        .post(person, "/api/v1/conversations", json!({}), 201)
        .await;
    made["id"].as_str().unwrap().to_owned()
}

/// The assistant's message, once it is not being written any more.
async fn answer(server: &TestServer, person: &Person, conversation: &str) -> Value {
    let path = format!("/api/v1/conversations/{conversation}/messages");
    let waiting = async {
        loop {
            let response = server.as_person(person, Method::GET, &path).send().await;
            let list: Value = response.unwrap().json().await.unwrap();
            let items = list["items"].as_array().unwrap();
            let ended = items
                .iter()
                .find(|item| item["role"] == "assistant" && item["status"] != "streaming");
            if let Some(message) = ended {
                return message.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_a_conversation_is_answered_step_by_step_and_kept() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let id = conversation(&server, &ada).await;
    let mut socket = introduced(&server, &ada).await;
    let ask = json!({"type": "ask", "id": "2", "conversation_id": id, "content": "Why?"});
    send(&mut socket, ask.clone()).await;
    let started = receive(&mut socket, "started").await;
    assert_eq!(started["reply_to"], "2");
    let delta = receive(&mut socket, "delta").await;
    assert_eq!(delta["data"]["run_id"], started["data"]["run_id"]);
    let done = receive(&mut socket, "done").await;
    assert_eq!(done["data"]["run_id"], started["data"]["run_id"]);
    assert_eq!(done["data"]["provenance"], "model");
    let kept = answer(&server, &ada, &id).await;
    assert_eq!(kept["id"], started["data"]["message_id"]);
    assert_eq!(kept["status"], "complete");
    // Nobody speaks in somebody else's conversation.
    let bob = server.register("bob@example.org").await;
    let mut socket = introduced(&server, &bob).await;
    send(&mut socket, ask).await;
    let refused = receive_any(&mut socket).await;
    assert_eq!(refused["type"], "error");
    assert_eq!(refused["data"]["code"], "NOT_FOUND");
    assert_eq!(refused["reply_to"], "2");
}

async fn receive_any(socket: &mut crate::sockets::Socket) -> Value {
    use futures_util::StreamExt as _;
    let message = socket.next().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_a_conversation_outlives_its_socket() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    upstream.set_pace(Pace {
        first_millis: 300,
        event_millis: 20,
    });
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let id = conversation(&server, &ada).await;
    let mut socket = introduced(&server, &ada).await;
    let ask = json!({"type": "ask", "id": "2", "conversation_id": id, "content": "Why?"});
    send(&mut socket, ask).await;
    receive(&mut socket, "started").await;
    drop(socket);
    let kept = answer(&server, &ada, &id).await;
    assert_eq!(kept["status"], "complete", "{kept}");
    assert_eq!(upstream.requests()[0].ended, Ended::Answered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_stopped_by_its_id_from_any_of_ones_sockets() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    upstream.set_answer("word ".repeat(2_000));
    upstream.set_pace(Pace {
        first_millis: 0,
        event_millis: 50,
    });
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let id = conversation(&server, &ada).await;
    let mut asking = introduced(&server, &ada).await;
    let ask = json!({"type": "ask", "id": "2", "conversation_id": id, "content": "Why?"});
    send(&mut asking, ask).await;
    let started = receive(&mut asking, "started").await;
    receive(&mut asking, "delta").await;
    let mut other = introduced(&server, &ada).await;
    let cancel = json!({"type": "cancel", "run_id": started["data"]["run_id"]});
    send(&mut other, cancel).await;
    receive(&mut asking, "done").await;
    let kept = answer(&server, &ada, &id).await;
    assert_eq!(kept["status"], "cancelled", "{kept}");
    upstream
        .wait_for(|requests| requests[0].ended == Ended::ClientLeft)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_its_own_is_recorded_although_the_socket_left() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    upstream.set_pace(Pace {
        first_millis: 300,
        event_millis: 20,
    });
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let mut socket = introduced(&server, &ada).await;
    let ask = json!({"type": "ask", "id": "2", "prompt": "What holds?"});
    send(&mut socket, ask).await;
    receive(&mut socket, "started").await;
    drop(socket);
    upstream
        .wait_for(|requests| requests.iter().any(|r| r.ended != Ended::NotYet))
        .await;
    let client = server.database().connect().await.unwrap();
    let recorded = async {
        let complete = "SELECT count(*) FROM executions WHERE status = 'complete'";
        while client
            .query_one(complete, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, recorded).await.unwrap();
    let again = json!({"prompt": "What holds?"});
    let answer = server.post(&ada, "/api/v1/ai/execute", again, 200).await;
    assert_ne!(answer["provenance"], "model", "{answer}");
    assert_eq!(upstream.request_count(), 1);
}
