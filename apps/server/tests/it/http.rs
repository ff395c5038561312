//! What holds for every endpoint.

use crate::harness::{TestServer, problem};
use mainstay_server::lifecycle::Ending;
use reqwest::Method;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn a_living_process_says_so() {
    let server = TestServer::start().await;
    let response = server.get("/health").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.json::<serde_json::Value>().await.unwrap()["status"],
        "ok"
    );
    assert_eq!(server.stop().await, Ending::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_route_is_a_problem_and_a_wrong_method_names_the_right_ones() {
    let server = TestServer::start().await;
    let body = problem(server.get("/api/v1/nowhere").await).await;
    assert_eq!(body["code"], "NOT_FOUND");
    let response = server
        .request(Method::DELETE, "/health")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["allow"], "GET, HEAD");
    assert_eq!(problem(response).await["code"], "METHOD_NOT_ALLOWED");
    let response = server
        .request(Method::HEAD, "/health")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let response = server
        .request(Method::OPTIONS, "/health")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (204, &"GET, HEAD".parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_correlation_id_comes_back_when_it_is_one() {
    let server = TestServer::start().await;
    let id = "018f2d0e-7b1a-7c3d-9e4f-0123456789ab";
    let ask = |value: &str| {
        server
            .request(Method::GET, "/health")
            .header("x-correlation-id", value)
            .send()
    };
    let kept = ask(id).await.unwrap();
    assert_eq!(kept.headers()["x-correlation-id"], id);
    let made = ask("not-a-uuid").await.unwrap();
    let made = made.headers()["x-correlation-id"].to_str().unwrap();
    assert_eq!(uuid::Uuid::parse_str(made).unwrap().get_version_num(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_login_refuses_strangers_and_forged_tokens() {
    let server = TestServer::start().await;
    let response = server.get("/api/v1/system/info").await;
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(problem(response).await["code"], "UNAUTHENTICATED");
    let response = server
        .request(Method::GET, "/api/v1/system/info")
        .bearer_auth("eyJhbGciOiJub25lIn0.e30.")
        .send()
        .await
        .unwrap();
    assert_eq!(problem(response).await["code"], "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_asks_too_often_is_told_to_wait() {
    let server = TestServer::start_with(|s| s.limits.unauthenticated_per_minute = 3).await;
    for left in ["2", "1", "0"] {
        let response = server.get("/api/v1/system/info").await;
        assert_eq!(response.headers()["x-ratelimit-remaining"], left);
        assert_eq!(
            response.headers()["ratelimit-policy"],
            "\"address\";q=3;w=60"
        );
    }
    let body = problem(server.get("/api/v1/system/info").await).await;
    assert_eq!(body["code"], "RATE_LIMITED");
    // Whether the process lives may always be asked.
    assert_eq!(server.get("/health").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_tell_browsers_to_be_careful() {
    let server = TestServer::start().await;
    let response = server.get("/health").await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(response.headers()[name], value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_configured_origins_may_call_and_others_may_not() {
    let server = TestServer::start_with(|s| {
        s.server.cors_origins = vec!["https://app.example.org".to_owned()];
    })
    .await;
    let preflight = |origin: &'static str| {
        server
            .request(Method::OPTIONS, "/api/v1/system/info")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .send()
    };
    let allowed = preflight("https://app.example.org").await.unwrap();
    assert_eq!(
        allowed.headers()["access-control-allow-origin"],
        "https://app.example.org"
    );
    let refused = preflight("https://evil.example").await.unwrap();
    assert!(
        !refused
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_needs_nothing_from_elsewhere() {
    let server = TestServer::start().await;
    let page = server.get("/docs").await.text().await.unwrap();
    assert!(
        !page.contains("https://") && !page.contains("http://"),
        "{page}"
    );
    for asset in ["/docs/swagger-ui.js", "/docs/swagger-ui.css"] {
        assert!(page.contains(asset));
        let response = server.get(asset).await;
        assert_eq!(response.headers()["content-encoding"], "gzip");
    }
    let explained = server.get("/docs/errors/NOT_FOUND").await;
    assert!(explained.text().await.unwrap().starts_with("# NOT_FOUND"));
    let document: serde_json::Value = server.get("/openapi.json").await.json().await.unwrap();
    assert_eq!(document["openapi"], "3.0.3");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_measured_by_route_and_problems_by_code() {
    let server = TestServer::start().await;
    server.get("/health").await;
    server.get("/api/v1/nowhere").await;
    let metrics = server.get("/metrics").await.text().await.unwrap();
    for line in [
        r#"api_request_duration_seconds_count{method="GET",route="/health",status="200"} 1"#,
        r#"api_request_duration_seconds_count{method="GET",route="unmatched",status="404"} 1"#,
        r#"errors_total{code="NOT_FOUND"} 1"#,
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_one_clear_sentence() {
    let server = TestServer::start().await;
    let mut settings = mainstay_server::settings::Settings::default();
    settings.server.port = server.address().port();
    let lifecycle = mainstay_server::lifecycle::Lifecycle::new(tokio::runtime::Handle::current());
    let error = mainstay_server::startup::Server::start(
        settings,
        lifecycle,
        mainstay_resilience::system_clock(),
    )
    .await
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("is taken") && text.contains("server.port"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_closes_idle_connections_and_does_not_wait_for_their_keep_alive() {
    let server = TestServer::start().await;
    let mut idle = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 15];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    server.begin_drain();
    let ending = tokio::time::timeout(Duration::from_secs(4), server.stop()).await;
    assert_eq!(
        ending.expect("the drain waited for an idle connection"),
        Ending::Drained
    );
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
}
