//! Seeding a deployment.

use crate::harness::{Person, TestServer};
use mainstay_resilience::system_clock;
use mainstay_server::{settings::Settings, startup};
use mainstay_testkit::database::TestDatabase;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn seeding_makes_an_administrator_once_and_a_second_time_changes_nothing() {
    let database = TestDatabase::create().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.database.url = Some(database.url().to_owned().into());
    settings.database.min_connections = 1;
    settings.server.state_dir = state.path().to_owned();
    settings.auth.hash_memory_kib = 8_192;
    let seed = async || {
        startup::seed(&settings, "ada@example.org", system_clock())
            .await
            .unwrap()
    };
    let first = seed().await;
    assert!(first.personas >= 3 && first.documents >= 3, "{first:?}");
    let second = seed().await;
    assert_eq!((second.personas, second.documents), (0, 0));
    assert_eq!(second.user_id, first.user_id);
    assert_eq!(second.workspace_id, first.workspace_id);
    let password = first.password.expose_secret();
    assert_eq!(second.password.expose_secret(), password);
    let file = state.path().join("administrator.json");
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let server = TestServer::start_on(database.url(), |s| {
        s.server.state_dir = state.path().to_owned();
    })
    .await;
    server.wait_until_ready().await;
    let login = json!({"email": "ada@example.org", "password": password});
    let login = server
        .request(Method::POST, "/api/v1/auth/login")
        .json(&login);
    let response = login.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let session: Value = response.json().await.unwrap();
    assert_eq!(session["user"]["role"], "administrator");
    let ada = Person {
        token: session["access_token"].as_str().unwrap().to_owned(),
        refresh: session["refresh_token"].as_str().unwrap().to_owned(),
    };
    let path = "/api/v1/knowledge/search?q=what+does+OVERLOADED+mean";
    let found = server.read(&ada, path).await;
    assert!(!found["items"].as_array().unwrap().is_empty());
    let answer = server
        .post(
            &ada,
            "/api/v1/ai/execute",
            json!({"prompt": "What is Mainstay?"}),
            200,
        )
        .await;
    assert_eq!(answer["provenance"], "knowledge", "{answer}");
}
