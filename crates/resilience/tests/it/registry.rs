//! The registry.

use mainstay_resilience::{
    BreakerConfig, CircuitBreaker, PipelineConfig, Registry, RegistryConfig, State,
};

use crate::support::{Recorder, secs};

#[test]
fn a_name_stands_for_one_policy() {
    let registry = Registry::new();
    let config = BreakerConfig::default();
    let first = registry.breaker("postgres", &config).unwrap();
    first.force_open();
    let second = registry.breaker("postgres", &config).unwrap();
    assert_eq!(second.state(), State::ForcedOpen);
    assert!(registry.find_breaker("redis").is_none());
    assert!(
        registry.find_pipeline("postgres").is_none(),
        "a kind of its own"
    );
}

#[test]
fn a_reload_changes_settings_and_keeps_state() {
    let registry = Registry::new();
    let breaker = registry
        .breaker("postgres", &BreakerConfig::default())
        .unwrap();
    breaker.try_acquire().unwrap().failure();
    let mut config = RegistryConfig::default();
    let mut changed = BreakerConfig::default();
    changed.open_for = secs(5);
    config.breakers.insert("postgres".into(), changed.clone());
    config
        .pipelines
        .insert("redis".into(), PipelineConfig::default());
    registry.reload(&config).unwrap();
    assert_eq!(breaker.config(), changed);
    assert_eq!(breaker.snapshot().failures, 1);
    assert!(
        registry.find_pipeline("redis").is_some(),
        "made by the reload"
    );
}

#[test]
fn a_reload_with_a_mistake_changes_nothing() {
    let registry = Registry::new();
    let breaker = registry.breaker("a", &BreakerConfig::default()).unwrap();
    let mut config = RegistryConfig::default();
    let mut right = BreakerConfig::default();
    right.open_for = secs(1);
    let mut wrong = BreakerConfig::default();
    wrong.half_open_probes = 0;
    config.breakers.insert("a".into(), right);
    config.breakers.insert("b".into(), wrong);
    let error = registry.reload(&config).unwrap_err();
    assert_eq!(
        (error.name(), error.error().field()),
        ("b", "half_open_probes")
    );
    assert_eq!(error.to_string(), "b: half_open_probes: must be at least 1");
    assert_eq!(breaker.config(), BreakerConfig::default());
    assert!(registry.find_breaker("b").is_none());
}

#[test]
fn a_snapshot_shows_everything_in_order() {
    let (recorder, observer) = Recorder::new();
    let registry = Registry::with_observer(observer);
    for name in ["b", "a"] {
        registry.breaker(name, &BreakerConfig::default()).unwrap();
    }
    registry.insert_breaker(CircuitBreaker::builder("c").build().unwrap());
    registry.find_breaker("a").unwrap().force_open();
    let mut config = PipelineConfig::default();
    config.breaker = Some(BreakerConfig::default());
    registry
        .pipeline("p", &config)
        .unwrap()
        .breaker()
        .unwrap()
        .force_open();
    let snapshot = registry.snapshot();
    let names: Vec<_> = snapshot.breakers.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(snapshot.breakers[0].state, State::ForcedOpen);
    assert_eq!(
        snapshot.pipelines[0].breaker.as_ref().unwrap().state,
        State::ForcedOpen
    );
    assert_eq!(
        recorder.count("StateChange"),
        2,
        "all policies tell the one observer"
    );
}
