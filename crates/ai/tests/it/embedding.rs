//! Texts as vectors, and counts of tokens.

use mainstay_ai::gateway::GatewayRequest;
use mainstay_ai::{EmbeddingRequest, ErrorKind, ModelConfig, ProviderKind};
use mainstay_testkit::upstream::Fault;
use serde_json::json;

use crate::{BOTH, build, config, provider, single, soon, upstream};

fn texts(input: &[&str]) -> EmbeddingRequest {
    EmbeddingRequest {
        input: input.iter().map(|text| (*text).to_owned()).collect(),
        dimensions: Some(32),
        ..EmbeddingRequest::default()
    }
}

#[tokio::test]
async fn each_text_gets_its_vector_with_usage_and_cost() {
    let upstream = upstream().await;
    let client = build(config(
        vec![provider("main", BOTH[1], &upstream)],
        vec![ModelConfig::new("m", [("main", "text-embedding-3-small")])],
    ));
    let answer = client
        .embed(&texts(&["a dog", "a cat", "a dog"]), soon())
        .await
        .unwrap();
    assert_eq!(answer.vectors.len(), 3);
    assert!(answer.vectors.iter().all(|vector| vector.len() == 32));
    assert_eq!(answer.vectors[0], answer.vectors[2]);
    assert_ne!(answer.vectors[0], answer.vectors[1]);
    assert!(answer.usage.input_tokens > 0 && answer.usage.output_tokens == 0);
    assert!(answer.cost.is_some() && !answer.usage_is_estimate);
    assert_eq!(upstream.requests()[0].path, "/v1/embeddings");
}

#[tokio::test]
async fn embeddings_are_retried_and_checked_like_any_answer() {
    let upstream = upstream().await;
    upstream.push_faults([Fault::status(500)]);
    let client = build(single(BOTH[1], &upstream));
    assert_eq!(
        client
            .embed(&texts(&["x"]), soon())
            .await
            .unwrap()
            .attempts
            .len(),
        2
    );
    upstream.set_fault(Fault::Garbage);
    assert_eq!(
        client
            .embed(&texts(&["x"]), soon())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Garbled
    );
    assert_eq!(
        client.embed(&texts(&[]), soon()).await.unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
}

#[tokio::test]
async fn a_model_that_makes_no_embeddings_says_so() {
    let upstream = upstream().await;
    let client = build(single(BOTH[0], &upstream));
    assert_eq!(
        client
            .embed(&texts(&["x"]), soon())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidRequest
    );
    assert_eq!(upstream.request_count(), 0);
}

fn question(kind: ProviderKind) -> GatewayRequest {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "how many tokens is this?"}]});
    GatewayRequest::parse(kind, body.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn the_provider_counts_where_it_can_and_the_estimate_where_it_cannot() {
    let upstream = upstream().await;
    let client = build(single(BOTH[0], &upstream));
    let exact = client
        .count_tokens(question(BOTH[0]), soon())
        .await
        .unwrap();
    assert!(exact.is_exact && exact.input_tokens > 0);
    assert_eq!(upstream.requests()[0].path, "/v1/messages/count_tokens");

    upstream.set_fault(Fault::status(500));
    let estimate = client
        .count_tokens(question(BOTH[0]), soon())
        .await
        .unwrap();
    assert!(!estimate.is_exact && estimate.input_tokens >= 6);
    let other = build(single(BOTH[1], &upstream))
        .count_tokens(question(BOTH[1]), soon())
        .await
        .unwrap();
    assert!(!other.is_exact);
}
