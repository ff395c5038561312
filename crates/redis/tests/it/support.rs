//! Clients for tests.

use std::time::Duration;

use mainstay_redis::{Config, Redis};
use mainstay_resilience::system_clock;
use mainstay_testkit::redis::shared_url;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A client of the server that all tests share.
pub(crate) async fn shared() -> Redis {
    let mut config = Config::new(shared_url().unwrap());
    config.command_timeout = Duration::from_secs(2);
    let redis = Redis::connect(config, system_clock()).unwrap();
    assert!(redis.wait_until_available(LIMIT).await);
    redis
}

/// A client that loses its patience soon.
pub(crate) fn impatient(url: &str) -> Redis {
    let mut config = Config::new(url);
    config.command_timeout = Duration::from_millis(100);
    config.breaker_open = Duration::from_millis(300);
    Redis::connect(config, system_clock()).unwrap()
}

/// Waits until `condition` holds, without guessing how long that takes.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
