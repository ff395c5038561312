//! A server of a test's own.

use mainstay_resilience::system_clock;
use mainstay_server::{
    lifecycle::{Ending, Lifecycle},
    settings::Settings,
    startup::{Running, Server},
};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::runtime::Handle;

/// A real server in this process and a client of it.
pub(crate) struct TestServer {
    running: Running,
    client: Client,
    pub(crate) base: String,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a server with settings of its own.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.server.port = 0;
        settings.server.workers = Some(1);
        settings.server.drain_seconds = 5;
        settings.limits.unauthenticated_per_minute = 10_000;
        change(&mut settings);
        let lifecycle = Lifecycle::new(Handle::current());
        let running = Server::start(settings, lifecycle, system_clock())
            .await
            .unwrap();
        Self {
            base: format!("http://{}", running.address()),
            client: Client::builder().no_proxy().build().unwrap(),
            running,
        }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.running.address()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) fn begin_drain(&self) {
        self.running.lifecycle().begin_drain();
    }

    pub(crate) async fn stop(self) -> Ending {
        // The client's idle connections would otherwise have to be closed first.
        drop(self.client);
        self.running.stop().await
    }
}

/// The body of a problem, after checking that it is one.
pub(crate) async fn problem(response: Response) -> Value {
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let correlation_id = response.headers()["x-correlation-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let retry_after = response.headers().contains_key("retry-after");
    assert_eq!(content_type, "application/problem+json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    assert_eq!(body["correlation_id"], correlation_id);
    assert_eq!(retry_after, matches!(status, 429 | 503), "{body}");
    body
}
