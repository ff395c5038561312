//! Bodies that no honest client sends: always a 4xx problem that says what is
//! wrong, never a 500.

use crate::harness::{Person, TestServer, problem};
use reqwest::{Body, Method};
use serde_json::{Value, json};

const EXECUTE: &str = "/api/v1/ai/execute";

async fn send(
    server: &TestServer,
    person: &Person,
    path: &str,
    content_type: &str,
    body: impl Into<Body>,
) -> (u16, Value) {
    let response = server
        .as_person(person, Method::POST, path)
        .header("content-type", content_type)
        .body(body)
        .send()
        .await
        .unwrap();
    let status = response.status().as_u16();
    (status, problem(response).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_read_are_400() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let deep = format!(
        "{{\"prompt\":{}1{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("half", b"{\"prompt\":".to_vec()),
        ("invalid UTF-8", b"{\"prompt\":\"\xff\xfe\"}".to_vec()),
        ("deep", deep.into_bytes()),
        ("trailing", b"{\"prompt\":\"a\"} {}".to_vec()),
    ];
    for (name, body) in bodies {
        let (status, body) = send(&server, &ada, EXECUTE, "application/json", body).await;
        assert_eq!(status, 400, "{name}: {body}");
        assert_eq!(body["code"], "BAD_REQUEST", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_say_something_wrong_are_422_and_name_the_place() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let personas = "/api/v1/personas";
    let cases = [
        (EXECUTE, json!({"prompt": "a", "surprise": 1}), "/surprise"),
        (EXECUTE, json!({"prompt": 7}), "/prompt"),
        (EXECUTE, json!({"prompt": "a\u{0}b"}), "/prompt"),
        (EXECUTE, json!({"prompt": ""}), "/prompt"),
        (
            EXECUTE,
            json!({"prompt": "a", "persona_id": "no-uuid"}),
            "/persona_id",
        ),
        (
            EXECUTE,
            json!({"prompt": "a", "max_cost_usd": "-1"}),
            "/max_cost_usd",
        ),
        (
            personas,
            json!({"name": "P", "description": "", "system_prompt": "x", "temperature": 3.5}),
            "/temperature",
        ),
        (
            personas,
            json!({"name": "P", "description": "", "system_prompt": "x", "max_tokens": -1}),
            "/max_tokens",
        ),
    ];
    for (path, request, pointer) in cases {
        let (status, body) =
            send(&server, &ada, path, "application/json", request.to_string()).await;
        assert_eq!(status, 422, "{request}: {body}");
        assert_eq!(body["code"], "VALIDATION_ERROR", "{request}");
        assert_eq!(body["errors"][0]["pointer"], pointer, "{request}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_content_type_is_415_and_too_much_is_413() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let (status, body) = send(&server, &ada, EXECUTE, "text/plain", "{\"prompt\":\"a\"}").await;
    assert_eq!(
        (status, &body["code"]),
        (415, &json!("UNSUPPORTED_MEDIA_TYPE"))
    );
    let large = json!({"prompt": "a".repeat(1024 * 1024)}).to_string();
    let (status, body) = send(&server, &ada, EXECUTE, "application/json", large).await;
    assert_eq!((status, &body["code"]), (413, &json!("PAYLOAD_TOO_LARGE")));
    // The same without a declared length: counted while it is read.
    let chunks = (0..40).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 64 * 1024]));
    let streamed = Body::wrap_stream(futures_util::stream::iter(chunks));
    let (status, _) = send(&server, &ada, EXECUTE, "application/json", streamed).await;
    assert_eq!(status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_takes_larger_bodies_but_not_any() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let over = vec![b' '; 32 * 1024 * 1024 + 1];
    let (status, body) = send(
        &server,
        &ada,
        "/v1/chat/completions",
        "application/json",
        over,
    )
    .await;
    assert_eq!((status, &body["code"]), (413, &json!("PAYLOAD_TOO_LARGE")));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_cursors_that_make_no_sense_are_422() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    for query in [
        "limit=-1",
        "limit=0",
        "limit=201",
        "limit=many",
        "cursor=%00",
        "page=2",
    ] {
        let path = format!("/api/v1/conversations?{query}");
        let response = server
            .as_person(&ada, Method::GET, &path)
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        assert!(matches!(status, 400 | 422), "{query}: {status}");
        problem(response).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_and_nobodys_objects_look_alike() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let bob = server.register("bob@example.org").await;
    let conversation = server
        .post(&ada, "/api/v1/conversations", json!({}), 201)
        .await;
    let theirs = conversation["id"].as_str().unwrap();
    let mut bodies = Vec::new();
    for id in [
        theirs,
        "0193e4a0-0000-7000-8000-000000000000",
        "no-uuid",
        "..%2f",
    ] {
        let path = format!("/api/v1/conversations/{id}");
        let response = server
            .as_person(&bob, Method::GET, &path)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 404, "{id}");
        bodies.push(problem(response).await["code"].clone());
    }
    assert!(bodies.iter().all(|code| code == "NOT_FOUND"));
}
