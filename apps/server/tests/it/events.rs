//! Live events without a WebSocket.

use crate::harness::{Person, TestServer, problem};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;

struct Talk {
    topic: String,
    messages: String,
}

async fn talk(server: &TestServer, person: &Person) -> Talk {
    let made = server
        .post(person, "/api/v1/conversations", json!({}), 201)
        .await;
    let id = made["id"].as_str().unwrap();
    Talk {
        topic: format!("conversation.{id}"),
        messages: format!("/api/v1/conversations/{id}/messages"),
    }
}

async fn say(server: &TestServer, person: &Person, talk: &Talk) {
    let said = json!({"content": "Hi"});
    server.post(person, &talk.messages, said, 201).await;
}

async fn get(server: &TestServer, person: &Person, path: &str) -> Response {
    let request = server.as_person(person, Method::GET, path);
    request.send().await.unwrap()
}

async fn poll(server: &TestServer, person: &Person, topics: &str, after: Option<&str>) -> Value {
    let after = after.map_or(String::new(), |after| format!("&after={after}"));
    let path = format!("/api/v1/events/poll?topics={topics}{after}");
    let response = get(server, person, &path).await;
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    response.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_misses_nothing_between_two_requests() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let talk = talk(&server, &ada).await;
    let topics = format!("{},system_alerts", talk.topic);
    let first = poll(&server, &ada, &topics, None).await;
    assert_eq!(first["events"], json!([]));
    let cursor = first["cursor"].as_str().unwrap();
    let waiting = poll(&server, &ada, &topics, Some(cursor));
    let (second, ()) = tokio::join!(waiting, say(&server, &ada, &talk));
    let mut events = second["events"].as_array().unwrap().clone();
    assert!(!events.is_empty(), "{second}");
    let mut cursor = second["cursor"].as_str().unwrap().to_owned();
    while !events
        .iter()
        .any(|event| event["type"] == "message.finished")
    {
        let more = poll(&server, &ada, &topics, Some(&cursor)).await;
        events.extend(more["events"].as_array().unwrap().clone());
        cursor = more["cursor"].as_str().unwrap().to_owned();
    }
    let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64()).collect();
    let expected: Vec<_> = (1..=events.len() as u64).map(Some).collect();
    assert_eq!(numbers, expected, "{events:#?}");
    assert!(events.iter().all(|event| event["topic"] == *talk.topic));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_life_says_that_something_is_lost() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let cursor = "system_alerts:00000000000000aa-7";
    let polled = poll(&server, &ada, "system_alerts", Some(cursor)).await;
    assert_eq!(polled["topics"][0]["recovered"], false, "{polled}");
    let path = "/api/v1/events/poll?topics=system_alerts&after=yesterday";
    let refused = problem(get(&server, &ada, path).await).await;
    assert_eq!(refused["errors"][0]["pointer"], "/after");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_topic_is_not_there() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let bob = server.register("bob@example.org").await;
    let talk = talk(&server, &ada).await;
    for path in ["/api/v1/events", "/api/v1/events/poll"] {
        let path = format!("{path}?topics={}", talk.topic);
        let refused = problem(get(&server, &bob, &path).await).await;
        assert_eq!(refused["code"], "NOT_FOUND");
    }
}

/// Reads a stream until `wanted` of `event`, and gives its text up to there.
async fn read_until(stream: &mut Response, wanted: &str) -> String {
    let mut text = String::new();
    let reading = async {
        while !text.contains(wanted) {
            let chunk = stream.chunk().await.unwrap().expect("the stream ended");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(30), reading).await;
    assert!(read.is_ok(), "{wanted} did not come: {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_where_it_was_left() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let talk = talk(&server, &ada).await;
    let path = format!("/api/v1/events?topics={}", talk.topic);
    let mut stream = get(&server, &ada, &path).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let first = read_until(&mut stream, "\n\n").await;
    assert!(first.contains("event: subscribed\n"), "{first}");
    let id = first.strip_prefix("id: ").unwrap().lines().next().unwrap();
    say(&server, &ada, &talk).await;
    read_until(&mut stream, "message.finished").await;
    drop(stream);
    let mut again = server
        .as_person(&ada, Method::GET, &path)
        .header("last-event-id", id)
        .send()
        .await
        .unwrap();
    let replayed = read_until(&mut again, "message.finished").await;
    assert!(replayed.contains("\"recovered\":true"), "{replayed}");
    assert!(replayed.contains("event: event\n"), "{replayed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_the_bounds_of_sockets_and_end_with_a_stop() {
    let server = TestServer::start_with(|s| s.realtime.per_principal = 1).await;
    let ada = server.register("ada@example.org").await;
    let path = "/api/v1/events?topics=system_alerts";
    let mut stream = get(&server, &ada, path).await;
    read_until(&mut stream, "\n\n").await;
    let refused = problem(get(&server, &ada, path).await).await;
    assert_eq!(refused["code"], "RATE_LIMITED");
    server.begin_drain();
    let ending = async { while let Ok(Some(_)) = stream.chunk().await {} };
    let ended = tokio::time::timeout(Duration::from_secs(10), ending).await;
    assert!(ended.is_ok(), "the stream goes on through a stop");
}
