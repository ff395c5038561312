//! A server of a test's own.

use mainstay_resilience::system_clock;
use mainstay_server::{
    lifecycle::{Ending, Lifecycle},
    settings::{Ai, Registration, Settings},
    startup::{Running, Server},
};
use mainstay_testkit::{database::TestDatabase, upstream::ScriptedUpstream};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
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
        settings.auth.registration = Registration::Open;
        settings.auth.hash_memory_kib = 8_192;
        settings.cache.warm_bytes = 0;
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

    /// Registers somebody with a workspace of their own.
    pub(crate) async fn register(&self, email: &str) -> Person {
        let response = self
            .request(Method::POST, "/api/v1/auth/register")
            .json(&json!({"email": email, "password": PASSWORD, "full_name": "Ada"}))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
        let session: Value = response.json().await.unwrap();
        Person {
            token: session["access_token"].as_str().unwrap().to_owned(),
            refresh: session["refresh_token"].as_str().unwrap().to_owned(),
        }
    }

    /// A request of `person`.
    pub(crate) fn as_person(&self, person: &Person, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(&person.token)
    }

    /// Posts JSON as `person`, expects `status`, and gives the body.
    pub(crate) async fn post(
        &self,
        person: &Person,
        path: &str,
        body: Value,
        status: u16,
    ) -> Value {
        let request = self.as_person(person, Method::POST, path).json(&body);
        let response = request.send().await.unwrap();
        let got = response.status().as_u16();
        let text = response.text().await.unwrap();
        assert_eq!(got, status, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
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

/// Somebody who is logged in.
pub(crate) struct Person {
    pub(crate) token: String,
    pub(crate) refresh: String,
}

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Settings that lead to a scripted model.
pub(crate) fn with_upstream(settings: &mut Settings, upstream: &ScriptedUpstream) {
    let url = upstream.url();
    settings.ai = Ai::default().or_from_environment(move |name| match name {
        "ANTHROPIC_API_KEY" => Some("key".to_owned()),
        "ANTHROPIC_BASE_URL" => Some(url.clone()),
        _ => None,
    });
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
