//! A server of a test's own.

use mainstay_resilience::system_clock;
use mainstay_server::{
    lifecycle::{Ending, Lifecycle},
    settings::Settings,
    startup::{Running, Server},
};
use mainstay_testkit::database::TestDatabase;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Handle;

/// A real server in this process and a client of it.
pub(crate) struct TestServer {
    running: Running,
    database: Option<TestDatabase>,
    _state: TempDir,
    client: Client,
    pub(crate) base: String,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a server with settings of its own.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let database = TestDatabase::create().await.unwrap();
        let url = database.url().to_owned();
        let server = Self::start_on(&url, change).await;
        server.wait_until_ready().await;
        Self {
            database: Some(database),
            ..server
        }
    }

    /// Starts a server on a database that somebody else holds, and does not
    /// wait until it is ready.
    pub(crate) async fn start_on(url: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.database.url = Some(url.to_owned().into());
        settings.database.min_connections = 1;
        settings.database.max_connections = 4;
        settings.server.state_dir = state.path().to_owned();
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
            database: None,
            _state: state,
        }
    }

    /// Asks `/ready` until it says yes.
    pub(crate) async fn wait_until_ready(&self) {
        let ready = async {
            while self.get("/ready").await.status() != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), ready)
            .await
            .is_err()
        {
            panic!(
                "not ready: {}",
                self.get("/ready").await.text().await.unwrap()
            );
        }
    }

    /// The test's own database.
    pub(crate) fn database(&self) -> &TestDatabase {
        self.database.as_ref().unwrap()
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
        // The database is dropped after the server has let go of it.
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
