//! Registering, logging in, staying logged in, leaving.

use crate::harness::{PASSWORD, TestServer, problem};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_buys_one_pair_and_using_it_twice_ends_the_session() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let refresh = |token: &str| {
        let body = json!({"refresh_token": token});
        server
            .request(Method::POST, "/api/v1/auth/refresh")
            .json(&body)
            .send()
    };
    let first = refresh(&ada.refresh).await.unwrap();
    assert_eq!(first.status(), 200);
    let second: Value = first.json().await.unwrap();
    let body = problem(refresh(&ada.refresh).await.unwrap()).await;
    assert_eq!(body["code"], "UNAUTHENTICATED");
    let stolen = second["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(stolen).await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_and_unknown_address_are_answered_alike_and_limited() {
    let server = TestServer::start().await;
    server.register("ada@example.org").await;
    let login = |email: &'static str, password: &'static str| {
        let body = json!({"email": email, "password": password});
        server
            .request(Method::POST, "/api/v1/auth/login")
            .json(&body)
            .send()
    };
    assert_eq!(
        login("ada@example.org", PASSWORD).await.unwrap().status(),
        200
    );
    let wrong = problem(login("ada@example.org", "wrong password").await.unwrap()).await;
    let unknown = problem(login("bob@example.org", "wrong password").await.unwrap()).await;
    assert_eq!(wrong["detail"], unknown["detail"]);
    assert_eq!(wrong["code"], "UNAUTHENTICATED");
    for _ in 0..4 {
        login("ada@example.org", "wrong password").await.unwrap();
    }
    let limited = problem(login("ada@example.org", PASSWORD).await.unwrap()).await;
    assert_eq!(limited["code"], "RATE_LIMITED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_one_account() {
    let server = TestServer::start().await;
    server.register("ada@example.org").await;
    let body = json!({"email": " ADA@example.org", "password": PASSWORD});
    let request = server
        .request(Method::POST, "/api/v1/auth/register")
        .json(&body);
    let body = problem(request.send().await.unwrap()).await;
    assert_eq!(body["code"], "CONFLICT");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_keys_are_public_halves_only() {
    let server = TestServer::start().await;
    let jwks: Value = server
        .get("/.well-known/jwks.json")
        .await
        .json()
        .await
        .unwrap();
    let key = &jwks["keys"][0];
    assert_eq!(key["crv"], "Ed25519");
    assert!(key.get("d").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_body_is_named() {
    let server = TestServer::start().await;
    let post = |content_type: &'static str, body: Vec<u8>| {
        server
            .request(Method::POST, "/api/v1/auth/login")
            .header("content-type", content_type)
            .body(body)
            .send()
    };
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let json = "application/json";
    let good = r#"{"email":"ada@example.org","password":"12345678"}"#;
    for (content_type, body, status, pointer) in [
        (json, Vec::new(), 400, None),
        (json, b"{".to_vec(), 400, None),
        (json, b"{\"email\":\"\xff\"}".to_vec(), 400, None),
        (json, deep.into_bytes(), 400, None),
        ("text/plain", good.as_bytes().to_vec(), 415, None),
        (json, vec![b' '; (1 << 20) + 1], 413, None),
        (
            json,
            br#"{"email":1,"password":"12345678"}"#.to_vec(),
            422,
            Some("/email"),
        ),
        (
            json,
            br#"{"email":"a@b.org","password":"12345678","x":1}"#.to_vec(),
            422,
            Some("/x"),
        ),
        (
            json,
            br#"{"email":"a\u0000@b.org","password":"12345678"}"#.to_vec(),
            422,
            Some("/email"),
        ),
        (
            json,
            br#"{"email":"a@b.org"}"#.to_vec(),
            422,
            Some("/password"),
        ),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let body = problem(post(content_type, body).await.unwrap()).await;
        assert_eq!(body["status"], status, "{shown}: {body}");
        if let Some(pointer) = pointer {
            assert_eq!(body["errors"][0]["pointer"], pointer, "{shown}: {body}");
        }
    }
}
