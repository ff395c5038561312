//! What a call costs, and what it may cost.

use mainstay_ai::ModelConfig;
use mainstay_ai::price::NanoUsd;

use crate::{BOTH, ask, build, config, hear, provider, soon, upstream};

#[tokio::test]
async fn a_call_costs_what_its_model_costs_and_an_unknown_model_is_unknown() {
    let upstream = upstream().await;
    let client = build(config(
        vec![provider("main", BOTH[0], &upstream)],
        vec![
            ModelConfig::new("known", [("main", "claude-opus-5-5")]),
            ModelConfig::new("unknown", [("main", "my-model")]),
        ],
    ));
    let answer = client.complete(&ask("x"), soon()).await.unwrap();
    let expected = answer.usage.input_tokens * 4_000 + answer.usage.output_tokens * 20_000;
    assert_eq!(answer.cost, Some(NanoUsd(expected)));
    let streamed = hear(&mut client.stream(&ask("x"), soon()).await.unwrap())
        .await
        .finished
        .unwrap();
    assert_eq!(streamed.cost, answer.cost);

    let mut request = ask("x");
    request.model = "unknown".into();
    assert_eq!(client.complete(&request, soon()).await.unwrap().cost, None);
    assert_eq!(client.ceiling("unknown", 1, 1), None);
}

#[tokio::test]
async fn the_ceiling_is_that_of_the_dearest_deployment_and_no_call_exceeds_it() {
    let upstream = upstream().await;
    let client = build(config(
        vec![provider("main", BOTH[0], &upstream)],
        vec![ModelConfig::new(
            "m",
            [("main", "claude-haiku-4-5"), ("main", "claude-opus-5-5")],
        )],
    ));
    let ceiling = client.ceiling("m", 1_000_000, 100_000);
    assert_eq!(
        ceiling,
        Some(NanoUsd(7_000_000_000)),
        "5 for input written to the cache, 2 for output"
    );

    let request = ask("a question of a few words");
    let most = client.ceiling(
        "",
        request.estimate_input_tokens(),
        u64::from(request.max_tokens),
    );
    let answer = client.complete(&request, soon()).await.unwrap();
    assert!(answer.cost.unwrap() <= most.unwrap());
}
