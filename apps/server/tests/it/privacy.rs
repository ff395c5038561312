//! Personal data: what leaves for a model, what its owner sees, what is stored.

use crate::harness::{TestServer, with_upstream};
use mainstay_testkit::{database::TestDatabase, upstream::ScriptedUpstream};
use reqwest::Method;
use serde_json::json;

const EXECUTE: &str = "/api/v1/ai/execute";

#[tokio::test(flavor = "multi_thread")]
async fn a_model_sees_placeholders_and_the_asker_sees_what_they_wrote() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let ask = |who: &str| json!({"prompt": format!("Write to {who}.")});
    let first = server
        .post(&ada, EXECUTE, ask("bob@example.com"), 200)
        .await;
    assert_eq!(
        first["answer"],
        "Scripted answer to: Write to bob@example.com."
    );
    assert_eq!(first["decisions"][0]["rule_id"], "personal_data.email");
    let sent = format!("{:?}", upstream.requests());
    assert!(!sent.contains("bob@"), "{sent}");
    assert!(sent.contains("<EMAIL_1>"), "{sent}");
    // The stored answer serves whoever differs only in the placeholder, each with their own.
    let second = server
        .post(&ada, EXECUTE, ask("eve@example.com"), 200)
        .await;
    assert_eq!(second["provenance"], "cache.hot");
    assert_eq!(
        second["answer"],
        "Scripted answer to: Write to eve@example.com."
    );
    let streamed = server
        .as_person(&ada, Method::POST, EXECUTE)
        .json(&json!({"prompt": "Call +44 20 7946 0958 now.", "stream": true}))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let shown: String = streamed
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| {
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            data["text"].as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(shown, "Scripted answer to: Call +44 20 7946 0958 now.");
    assert!(!format!("{:?}", upstream.requests()).contains("7946"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_holds_no_readable_trace_of_what_was_said_or_by_whom() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let database = TestDatabase::create().await.unwrap();
    let server = TestServer::start_on(database.url(), |s| with_upstream(s, &upstream)).await;
    server.wait_until_ready().await;
    let ada = server.register("canary-address@example.org").await;
    server
        .post(&ada, EXECUTE, json!({"prompt": "canary-question"}), 200)
        .await;
    let conversation = server
        .post(
            &ada,
            "/api/v1/conversations",
            json!({"title": "canary-title"}),
            201,
        )
        .await;
    let path = format!(
        "/api/v1/conversations/{}/messages",
        conversation["id"].as_str().unwrap()
    );
    server
        .post(&ada, &path, json!({"content": "canary-message"}), 201)
        .await;
    server.stop().await;
    let client = database.connect().await.unwrap();
    let tables = client
        .query(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
            &[],
        )
        .await
        .unwrap();
    assert!(tables.len() > 10);
    for table in tables {
        let table: String = table.get(0);
        let rows = client
            .query(&format!("SELECT t::text, encode(convert_to(t::text, 'UTF8'), 'escape') FROM \"{table}\" t"), &[])
            .await
            .unwrap();
        for row in rows {
            let text: String = row.get(0);
            // Binary columns are printed as hexadecimal digits.
            let hidden: String = "canary".bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(
                !text.contains("canary") && !text.contains(&hidden),
                "{table}: {text}"
            );
        }
    }
}
