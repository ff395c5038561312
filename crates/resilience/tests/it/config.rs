//! Constructors refuse what makes no sense, and name the setting.

use std::time::Duration;

use mainstay_resilience::{
    AdaptiveLimit, Algorithm, Backoff, Bulkhead, Chain, CircuitBreaker, CircuitBreakerBuilder,
    ConfigError, Hedge, KeyedRateLimiter, Pipeline, Priority, Quota, RateLimiter, Retry,
    RetryBudget, Shedder, Throttle, Timeout,
};
use proptest::prelude::*;

use crate::support::{ms, secs};

fn field<T>(result: Result<T, ConfigError>) -> &'static str {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => error.field(),
    }
}

fn breaker(change: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> &'static str {
    field(change(CircuitBreaker::builder("wrong")).build())
}

#[test]
fn a_breaker_names_what_is_wrong() {
    assert_eq!(
        breaker(|b| b.consecutive_failures(0)),
        "consecutive_failures"
    );
    assert_eq!(breaker(|b| b.count_window(0, 0.5, 1)), "size");
    assert_eq!(breaker(|b| b.count_window(u32::MAX, 0.5, 1)), "size");
    assert_eq!(breaker(|b| b.count_window(10, 0.5, 11)), "min_calls");
    for rate in [0.0, -1.0, 1.01, f64::NAN, f64::INFINITY] {
        assert_eq!(breaker(|b| b.count_window(10, rate, 1)), "failure_rate");
        assert_eq!(breaker(|b| b.time_window(secs(1), rate, 1)), "failure_rate");
        assert_eq!(
            breaker(|b| b.time_window(secs(1), 0.5, 1).slow_calls(secs(1), rate)),
            "slow_call_rate"
        );
    }
    assert_eq!(breaker(|b| b.time_window(Duration::ZERO, 0.5, 1)), "length");
    assert_eq!(breaker(|b| b.time_window(Duration::MAX, 0.5, 1)), "length");
    assert_eq!(breaker(|b| b.time_window(secs(1), 0.5, 0)), "min_calls");
    assert_eq!(breaker(|b| b.slow_calls(secs(1), 0.5)), "slow_call");
    assert_eq!(breaker(|b| b.open_for(Duration::ZERO)), "open_for");
    assert_eq!(breaker(|b| b.open_backoff(0.5, secs(1))), "open_factor");
    assert_eq!(
        breaker(|b| b.open_backoff(f64::NAN, secs(1))),
        "open_factor"
    );
    assert_eq!(breaker(|b| b.half_open_probes(0)), "half_open_probes");
    assert_eq!(breaker(|b| b.half_open_probes(1025)), "half_open_probes");
    assert_eq!(
        breaker(|b| b.probe_timeout(Duration::ZERO)),
        "probe_timeout"
    );
}

#[test]
fn the_others_name_what_is_wrong() {
    assert_eq!(field(Timeout::new("t", Duration::ZERO)), "duration");
    assert_eq!(field(Backoff::new(Duration::ZERO, secs(1))), "base");
    assert_eq!(field(Backoff::new(secs(2), secs(1))), "base");
    assert_eq!(
        field(Retry::builder().max_attempts(0).build()),
        "max_attempts"
    );
    assert_eq!(
        field(Retry::builder().exponential(secs(2), secs(1)).build()),
        "base"
    );
    assert_eq!(field(RetryBudget::ratio(0.0)), "ratio");
    assert_eq!(field(RetryBudget::ratio(f64::NAN)), "ratio");
    assert_eq!(
        field(RetryBudget::builder().in_flight(1.5, 1).build()),
        "in_flight"
    );
    assert_eq!(
        field(RetryBudget::builder().capacity(0).build()),
        "capacity"
    );
    assert_eq!(
        field(RetryBudget::builder().without_ratio().build()),
        "ratio"
    );
    assert_eq!(field(Bulkhead::new("b", 0, 1, secs(1))), "max");
    assert_eq!(field(Bulkhead::new("b", 1, 1, Duration::ZERO)), "wait");
    assert_eq!(
        field(RateLimiter::new("r", Quota::per(Duration::ZERO, 1))),
        "period"
    );
    assert_eq!(
        field(RateLimiter::new("r", Quota::per(secs(1), 0))),
        "calls"
    );
    assert_eq!(
        field(RateLimiter::new("r", Quota::per(secs(1), 1).burst(0))),
        "burst"
    );
    assert_eq!(
        field(RateLimiter::new(
            "r",
            Quota::per(Duration::from_nanos(1), 2)
        )),
        "calls"
    );
    assert_eq!(
        field(RateLimiter::new("r", Quota::per(Duration::MAX, 2))),
        "period"
    );
    assert_eq!(
        field(
            KeyedRateLimiter::builder("k", Quota::per(secs(1), 1))
                .max_keys(0)
                .build::<u8>()
        ),
        "max_keys"
    );
    assert_eq!(
        field(AdaptiveLimit::builder("a").bounds(0, 1).build()),
        "least"
    );
    assert_eq!(
        field(AdaptiveLimit::builder("a").bounds(5, 1).build()),
        "least"
    );
    assert_eq!(
        field(AdaptiveLimit::builder("a").bounds(1, 5).initial(9).build()),
        "initial"
    );
    for (algorithm, wrong) in [
        (Algorithm::aimd_with(1.0), "backoff"),
        (Algorithm::aimd_with(f64::NAN), "backoff"),
        (Algorithm::gradient_with(0.5, 4, 0.2), "tolerance"),
        (Algorithm::gradient_with(1.5, 4, 0.0), "smoothing"),
    ] {
        assert_eq!(
            field(AdaptiveLimit::builder("a").algorithm(algorithm).build()),
            wrong
        );
    }
    assert_eq!(field(Shedder::builder("s", 0).build()), "most");
    assert_eq!(
        field(
            Shedder::builder("s", 1)
                .shed_from(Priority::Low, 0.0)
                .build()
        ),
        "shed_from"
    );
    assert_eq!(
        field(
            Shedder::builder("s", 1)
                .shed_from(Priority::Low, 0.99)
                .build()
        ),
        "shed_from"
    );
    assert_eq!(
        field(Hedge::builder("h").percentile(0.0).build()),
        "percentile"
    );
    assert_eq!(
        field(Hedge::builder("h").delay(Duration::ZERO).build()),
        "delay"
    );
    assert_eq!(
        field(Hedge::builder("h").delay_between(secs(2), secs(1)).build()),
        "delay"
    );
    assert_eq!(
        field(Hedge::builder("h").max_hedges(0).build()),
        "max_hedges"
    );
    assert_eq!(
        field(Throttle::builder("t").multiplier(0.9).build()),
        "multiplier"
    );
    assert_eq!(
        field(Throttle::builder("t").window(Duration::ZERO).build()),
        "window"
    );
    assert_eq!(
        field(Pipeline::standard("p").deadline(Duration::ZERO).build()),
        "deadline"
    );
    assert_eq!(
        field(
            Pipeline::standard("p")
                .deadline(secs(1))
                .attempt_timeout(secs(2))
                .build()
        ),
        "attempt_timeout"
    );
}

#[tokio::test]
async fn an_empty_chain_names_its_steps() {
    let answer = Chain::<u8, &str>::new("empty").run().await;
    let error = answer
        .unwrap_err()
        .config_error()
        .expect("a configuration error");
    assert_eq!(error.field(), "steps");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever passes the constructors works without a panic on any clock.
    #[test]
    fn no_setting_and_no_clock_panics(
        (size, least, probes) in any::<(u32, u32, u32)>(),
        (rate, factor) in any::<(f64, f64)>(),
        times in proptest::collection::vec(any::<u64>(), 8),
        readings in proptest::collection::vec(any::<u64>(), 1..30),
    ) {
        let clock = mainstay_resilience::ManualClock::new();
        let time = |i: usize| Duration::from_nanos(times[i]);
        let builders = [
            CircuitBreaker::builder("any").consecutive_failures(size),
            CircuitBreaker::builder("any").count_window(size % 5000, rate, least % 100),
            CircuitBreaker::builder("any").time_window(time(0), rate, least % 8),
        ];
        let quota = Quota::per(time(1), size).burst(least);
        let limiter = RateLimiter::new("any", quota).map(|l| l.with_clock(clock.shared()));
        let mut backoff = Backoff::new(time(2), time(3));
        for builder in builders {
            let breaker = builder
                .open_for(time(4))
                .open_backoff(factor, time(5))
                .half_open_probes(probes % 8)
                .probe_timeout(time(6))
                .ramp(time(7))
                .clock(clock.shared())
                .build();
            let Ok(breaker) = breaker else { continue };
            for reading in &readings {
                clock.set(Duration::from_nanos(*reading));
                if reading % 7 == 0 {
                    clock.set(Duration::MAX);
                }
                if let Ok(permit) = breaker.try_acquire() {
                    if reading % 3 == 0 { permit.success() } else { permit.failure() }
                }
                let _ = breaker.snapshot();
                if let Ok(limiter) = &limiter {
                    let _ = limiter.check();
                    let _ = limiter.peek();
                }
                if let Ok(backoff) = &mut backoff {
                    let _ = backoff.next_delay();
                }
            }
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn settings_read_as_people_write_them() {
    use mainstay_resilience::{PipelineConfig, RegistryConfig};
    let config: PipelineConfig = serde_json::from_str(
        r#"{
            "deadline": "5s",
            "attempt_timeout": "800ms",
            "retry": {"max_attempts": 4, "base": "20ms", "jitter": "decorrelated"},
            "breaker": {
                "trip": {"time_window": {"length": "10s", "failure_rate": 0.5, "min_calls": 20}},
                "open_for": "1m 30s"
            },
            "rate_limit": {"calls": 100, "period": "1s"},
            "bulkhead": {"max": 20, "queue": 64, "wait": "500ms"}
        }"#,
    )
    .unwrap();
    config.validate().unwrap();
    assert_eq!(config.deadline, Some(secs(5)));
    assert_eq!(config.breaker.as_ref().unwrap().open_for, secs(90));
    assert_eq!(
        config.retry.as_ref().unwrap().longest,
        secs(5),
        "the default"
    );
    assert_eq!(config.bulkhead.unwrap().wait, ms(500));
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<PipelineConfig>(&text).unwrap(),
        config
    );
    for wrong in [
        r#"{"deadline": 5}"#,
        r#"{"deadline": "5 parsecs"}"#,
        r#"{"dedline": "5s"}"#,
        r#"{"breaker": {"open_fro": "5s"}}"#,
    ] {
        assert!(
            serde_json::from_str::<PipelineConfig>(wrong).is_err(),
            "{wrong}"
        );
    }
    assert_eq!(
        serde_json::from_str::<RegistryConfig>("{}").unwrap(),
        RegistryConfig::default()
    );
}
