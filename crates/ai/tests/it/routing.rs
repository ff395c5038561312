//! Who is asked first.

use std::collections::HashMap;

use mainstay_ai::{CallOptions, Config, DeploymentConfig, ModelConfig, Strategy};
use mainstay_testkit::upstream::{Pace, ScriptedUpstream};

use crate::{BOTH, ask, build, config, provider, soon, upstream};

fn routed(upstream: &ScriptedUpstream, strategy: Strategy, deployments: &[(&str, u32)]) -> Config {
    config(
        vec![provider("main", BOTH[1], upstream)],
        vec![ModelConfig {
            name: "m".into(),
            deployments: deployments
                .iter()
                .map(|(model, weight)| DeploymentConfig {
                    weight: *weight,
                    ..DeploymentConfig::new("main", *model)
                })
                .collect(),
            strategy,
            hedge_after_ms: None,
        }],
    )
}

#[tokio::test]
async fn weights_are_shares_of_the_calls() {
    let upstream = upstream().await;
    let client = build(routed(
        &upstream,
        Strategy::Weighted,
        &[("a", 3), ("b", 1), ("c", 1)],
    ));
    for _ in 0..20 {
        client.complete(&ask("x"), soon()).await.unwrap();
    }
    let mut shares: HashMap<String, usize> = HashMap::new();
    for request in upstream.requests() {
        *shares.entry(request.model().to_owned()).or_default() += 1;
    }
    assert_eq!(
        shares,
        HashMap::from([("a".into(), 12), ("b".into(), 4), ("c".into(), 4)])
    );
}

#[tokio::test]
async fn calls_of_one_conversation_stay_together_and_conversations_spread() {
    let upstream = upstream().await;
    let settings = routed(
        &upstream,
        Strategy::Weighted,
        &[("a", 1), ("b", 1), ("c", 1)],
    );
    let (client, restarted) = (build(settings.clone()), build(settings));
    let mut seen: HashMap<String, usize> = HashMap::new();
    for conversation in 0..30 {
        let options = || CallOptions {
            affinity: Some(format!("conversation-{conversation}")),
            ..soon()
        };
        let first = client.complete(&ask("x"), options()).await.unwrap().model;
        assert_eq!(
            client.complete(&ask("y"), options()).await.unwrap().model,
            first
        );
        assert_eq!(
            restarted
                .complete(&ask("z"), options())
                .await
                .unwrap()
                .model,
            first
        );
        *seen.entry(first).or_default() += 1;
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.values().all(|share| *share >= 3), "{seen:?}");
}

#[tokio::test]
async fn the_cheapest_goes_first_and_an_unknown_price_last() {
    let upstream = upstream().await;
    let models = [("nobody-knows", 1), ("gpt-6-sol", 1), ("gpt-6-luna", 1)];
    let client = build(routed(&upstream, Strategy::Cheapest, &models));
    assert_eq!(
        client.complete(&ask("x"), soon()).await.unwrap().model,
        "gpt-6-luna"
    );
}

#[tokio::test]
async fn the_quickest_goes_first_once_everyone_was_tried() {
    let (slow, quick) = (upstream().await, upstream().await);
    slow.set_pace(Pace {
        first_millis: 700,
        event_millis: 0,
    });
    let settings = config(
        vec![
            provider("slow", BOTH[0], &slow),
            provider("quick", BOTH[1], &quick),
        ],
        vec![ModelConfig {
            strategy: Strategy::LeastLatency,
            ..ModelConfig::new("m", [("slow", "s"), ("quick", "q")])
        }],
    );
    let client = build(settings);
    for _ in 0..6 {
        client.complete(&ask("x"), soon()).await.unwrap();
    }
    assert_eq!((slow.request_count(), quick.request_count()), (1, 5));
    assert!(client.health().iter().all(|one| one.latency.is_some()));
}

#[tokio::test]
async fn an_empty_name_is_the_default_model_and_every_name_is_listed() {
    let upstream = upstream().await;
    let mut settings = config(
        vec![provider("main", BOTH[0], &upstream)],
        vec![
            ModelConfig::new("a", [("main", "x")]),
            ModelConfig::new("b", [("main", "y")]),
        ],
    );
    settings.default_model = Some("b".into());
    let client = build(settings);
    assert_eq!(client.models(), ["a", "b"]);
    assert_eq!(client.default_model(), Some("b"));
    let answer = client.complete(&ask("x"), soon()).await.unwrap();
    assert_eq!(
        (answer.requested_model.as_str(), answer.model.as_str()),
        ("b", "y")
    );
}

#[tokio::test]
async fn two_names_of_one_deployment_share_its_breaker() {
    let upstream = upstream().await;
    let settings = config(
        vec![provider("main", BOTH[0], &upstream)],
        vec![
            ModelConfig::new("a", [("main", "x")]),
            ModelConfig::new("b", [("main", "x")]),
        ],
    );
    assert_eq!(build(settings).health().len(), 1);
}
