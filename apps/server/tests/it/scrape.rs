//! The numbers that `/metrics` shows.

use crate::{
    harness::{TestServer, with_upstream},
    sockets::introduced,
};
use mainstay_testkit::upstream::{Fault, ScriptedUpstream};
use serde_json::json;
use std::time::Duration;

/// The sum of all samples of `name` whose labels contain `label`.
async fn sample(server: &TestServer, name: &str, label: &str) -> f64 {
    let text = server.get("/metrics").await.text().await.unwrap();
    text.lines()
        .filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or("");
            (rest.starts_with('{') || rest.starts_with(' ')) && rest.contains(label)
        })
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_counted_as_answers_tell_them_and_failed_attempts_too() {
    let upstream = ScriptedUpstream::start().await.unwrap();
    let server = TestServer::start_with(|s| with_upstream(s, &upstream)).await;
    let ada = server.register("ada@example.org").await;
    let question = json!({"prompt": "What holds a ship?"});
    let answer = server
        .post(&ada, "/api/v1/ai/execute", question.clone(), 200)
        .await;
    let used = |kind: &str| answer["usage"][format!("{kind}_tokens")].as_f64().unwrap();
    let model = format!("model=\"{}\"", answer["model"].as_str().unwrap());
    assert!(used("input") > 0.0 && used("output") > 0.0, "{answer}");
    let counter = "ai_token_usage_total";
    let mut before = Vec::new();
    for kind in ["input", "output", "cached"] {
        let label = format!("kind=\"{kind}\"");
        let counted = sample(&server, counter, &label).await;
        assert!((counted - used(kind)).abs() < 0.5, "{kind}: {counted}");
        before.push(counted);
    }
    let of_model = sample(&server, counter, &model).await;
    assert!((of_model - before.iter().sum::<f64>()).abs() < 0.5);
    // An answer from the cache uses none.
    server.post(&ada, "/api/v1/ai/execute", question, 200).await;
    let after = sample(&server, counter, &model).await;
    assert!((after - of_model).abs() < 0.5);
    // A conversation's answer that was cut and begun anew is paid twice.
    let made = server
        .post(&ada, "/api/v1/conversations", json!({}), 201)
        .await;
    let path = format!(
        "/api/v1/conversations/{}/messages",
        made["id"].as_str().unwrap()
    );
    upstream.push_faults([Fault::cut_after(4), Fault::None]);
    let message = server
        .post(&ada, &path, json!({"content": "Why?"}), 201)
        .await;
    assert_eq!(message["status"], "complete", "{message}");
    for (kind, before) in ["input", "output", "cached"].into_iter().zip(before) {
        let counted = sample(&server, counter, &format!("kind=\"{kind}\"")).await;
        let told = message["usage"][format!("{kind}_tokens")].as_f64().unwrap();
        assert!((counted - before - told).abs() < 0.5, "{kind}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_pool_hits_and_sockets_are_what_they_are() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    assert_eq!(server.get("/nowhere").await.status(), 404);
    let errors = sample(&server, "errors_total", "code=\"NOT_FOUND\"").await;
    assert!((errors - 1.0).abs() < 0.5, "{errors}");
    let answered = sample(&server, "api_request_duration_seconds_count", "404").await;
    assert!((answered - 1.0).abs() < 0.5, "{answered}");
    let pool = "database_pool_size";
    assert!((sample(&server, pool, "state=\"max\"").await - 4.0).abs() < 0.5);
    let open = sample(&server, pool, "\"idle\"").await + sample(&server, pool, "\"in_use\"").await;
    assert!((1.0..=4.0).contains(&open), "{open}");
    let entry = json!({"value": "a", "ttl_seconds": 60});
    let put = server
        .as_person(&ada, reqwest::Method::PUT, "/api/v1/cache/greeting")
        .json(&entry)
        .send()
        .await
        .unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
    for _ in 0..20 {
        let read = server
            .as_person(&ada, reqwest::Method::GET, "/api/v1/cache/greeting")
            .send()
            .await
            .unwrap();
        assert_eq!(read.status(), 200);
    }
    let rate = sample(&server, "cache_hit_rate", "").await;
    assert!(rate > 0.5 && rate <= 1.0, "{rate}");
    let sockets = "websocket_connections";
    let socket = introduced(&server, &ada).await;
    assert!((sample(&server, sockets, "").await - 1.0).abs() < 0.5);
    drop(socket);
    let gone = async {
        while sample(&server, sockets, "").await > 0.5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .unwrap();
}
