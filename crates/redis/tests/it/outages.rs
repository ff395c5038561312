//! A server that is away, killed, frozen, or talks nonsense.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use mainstay_redis::{Config, Message, Redis, State};
use mainstay_resilience::system_clock;
use mainstay_testkit::{proxy::BreakableProxy, redis::PrivateRedis};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::support::{LIMIT, eventually, impatient};

#[tokio::test]
async fn a_client_is_made_at_once_and_connects_when_the_server_comes() {
    let server = PrivateRedis::start().await.unwrap();
    server.stop().await.unwrap();
    let started = Instant::now();
    let redis = impatient(&server.url());
    let error = redis.get("key").await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(error.is_unavailable() && !error.is_timeout());
    assert_eq!(redis.state(), State::Reconnecting);
    server.restart().await.unwrap();
    assert!(redis.wait_until_available(LIMIT).await);
    assert_eq!(redis.state(), State::Connected);
}

#[tokio::test]
async fn killed_and_back_again_and_again() {
    let server = PrivateRedis::start().await.unwrap();
    let redis = impatient(&server.url());
    for _ in 0..3 {
        assert!(redis.wait_until_available(LIMIT).await);
        redis.set("key", "value".into(), None).await.unwrap();
        server.kill9().await.unwrap();
        eventually("the loss", async || redis.get("key").await.is_err()).await;
        let started = Instant::now();
        for _ in 0..1000 {
            assert!(redis.get("key").await.unwrap_err().is_unavailable());
        }
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "commands fail fast"
        );
        server.restart().await.unwrap();
    }
    assert!(redis.wait_until_available(LIMIT).await);
}

#[tokio::test]
async fn a_frozen_server_is_left_alone_and_used_again_when_it_moves() {
    let server = PrivateRedis::start().await.unwrap();
    let redis = impatient(&server.url());
    assert!(redis.wait_until_available(LIMIT).await);
    server.freeze();
    let started = Instant::now();
    let mut timeouts = 0;
    for _ in 0..500 {
        timeouts += usize::from(redis.get("key").await.unwrap_err().is_timeout());
    }
    let took = started.elapsed();
    server.thaw();
    // Each timeout costs 100 ms; without the breaker it would be 50 s.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(timeouts >= 5);
    assert!(redis.wait_until_available(LIMIT).await);
    redis.set("key", "value".into(), None).await.unwrap();
}

#[tokio::test]
async fn while_the_breaker_is_open_a_caller_knows_when_to_come_again() {
    let server = PrivateRedis::start().await.unwrap();
    let mut config = Config::new(server.url());
    config.command_timeout = Duration::from_millis(100);
    config.breaker_open = Duration::from_secs(60);
    let redis = Redis::connect(config, system_clock()).unwrap();
    assert!(redis.wait_until_available(LIMIT).await);
    server.freeze();
    for _ in 0..5 {
        assert!(redis.get("key").await.unwrap_err().is_timeout());
    }
    let error = redis.get("key").await.unwrap_err();
    server.thaw();
    assert!(error.is_unavailable() && error.is_unsent());
    assert!(error.retry_after().unwrap() > Duration::from_secs(50));
    assert_eq!(redis.state(), State::Stalled);
}

#[tokio::test]
async fn commands_beyond_the_limit_wait_no_longer_than_they_may_and_nothing_is_stuck_after() {
    let server = PrivateRedis::start().await.unwrap();
    let mut config = Config::new(server.url());
    config.command_timeout = Duration::from_millis(300);
    config.max_in_flight = 8;
    // So that the breaker does not hide the limit.
    config.breaker_failures = 1_000_000;
    let redis = Redis::connect(config, system_clock()).unwrap();
    assert!(redis.wait_until_available(LIMIT).await);
    server.freeze();
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..2000 {
        let redis = redis.clone();
        tasks.spawn(async move { redis.set(&number.to_string(), "value".into(), None).await });
    }
    let mut unsent = 0;
    while let Some(result) = tasks.join_next().await {
        let error = result.unwrap().unwrap_err();
        assert!(error.is_unavailable());
        unsent += usize::from(error.is_unsent());
    }
    let took = started.elapsed();
    server.thaw();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(
        unsent > 1900,
        "only the slots were used, {unsent} never left"
    );
    assert!(redis.wait_until_available(LIMIT).await);
    for number in 0..100 {
        redis
            .set(&number.to_string(), "value".into(), None)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_silent_network_is_noticed_and_a_cut_one_mended() {
    let server = PrivateRedis::start().await.unwrap();
    let proxy = BreakableProxy::start(SocketAddr::from(([127, 0, 0, 1], server.port())))
        .await
        .unwrap();
    let redis = impatient(&format!(
        "redis://default:{}@127.0.0.1:{}",
        server.password(),
        proxy.port()
    ));
    assert!(redis.wait_until_available(LIMIT).await);
    proxy.pause();
    for _ in 0..5 {
        assert!(redis.get("key").await.is_err());
    }
    proxy.restore();
    assert!(redis.wait_until_available(LIMIT).await);
    proxy.cut();
    eventually("the cut", async || redis.get("key").await.is_err()).await;
    proxy.restore();
    assert!(redis.wait_until_available(LIMIT).await);
}

#[tokio::test]
async fn a_slow_network_costs_timeouts_and_no_wrong_answers() {
    let server = PrivateRedis::start().await.unwrap();
    let proxy = BreakableProxy::start(SocketAddr::from(([127, 0, 0, 1], server.port())))
        .await
        .unwrap();
    let redis = impatient(&format!(
        "redis://default:{}@127.0.0.1:{}",
        server.password(),
        proxy.port()
    ));
    assert!(redis.wait_until_available(LIMIT).await);
    for number in 0..50 {
        redis
            .set(
                &format!("key {number}"),
                format!("value {number}").into(),
                None,
            )
            .await
            .unwrap();
    }
    let mut right = 0;
    for _ in 0..3 {
        // Around the limit: some answers come after their question was given
        // up, and must not answer the next one.
        for latency in [60, 40, 0] {
            proxy.add_latency(Duration::from_millis(latency));
            for number in 0..50 {
                if let Ok(value) = redis.get(&format!("key {number}")).await {
                    assert_eq!(value.unwrap(), format!("value {number}"));
                    right += 1;
                }
            }
        }
        assert!(redis.wait_until_available(LIMIT).await);
    }
    proxy.restore();
    for number in 0..50 {
        let value = redis.get(&format!("key {number}")).await.unwrap();
        assert_eq!(value.unwrap(), format!("value {number}"));
        right += 1;
    }
    assert!(right >= 50, "{right}");
}

/// A server that answers everything with `reply`.
async fn liar(reply: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut question = [0; 4096];
                while stream.read(&mut question).await.is_ok_and(|read| read > 0) {
                    if stream.write_all(reply).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_server_that_lies_about_lengths_or_talks_nonsense_is_an_error_in_bounded_time() {
    let lies: [&[u8]; 6] = [
        b"$100\r\nshort\r\n",
        b"$3\r\nlonger than three\r\n",
        b"$-7\r\n\r\n",
        b"$99999999999999\r\nx\r\n",
        b"*3\r\n$1\r\na\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ];
    for lie in lies {
        let address = liar(lie).await;
        let redis = impatient(&format!("redis://{address}"));
        let started = Instant::now();
        for _ in 0..20 {
            let answer = redis.get("key").await;
            assert!(
                answer.as_ref().is_err()
                    || answer
                        .as_ref()
                        .is_ok_and(|value| value.as_deref() == Some(b"lon")),
                "{answer:?}"
            );
        }
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{}",
            String::from_utf8_lossy(lie)
        );
    }
}

#[tokio::test]
async fn a_subscription_says_when_it_is_armed_and_arms_itself_again() {
    let server = PrivateRedis::start().await.unwrap();
    let redis = impatient(&server.url());
    let mut news = redis.subscribe(&["news", "weather"]).unwrap();
    let next = async |news: &mut mainstay_redis::Subscription| {
        tokio::time::timeout(LIMIT, news.next()).await.unwrap()
    };
    assert_eq!(next(&mut news).await, Message::Gap);
    assert!(redis.wait_until_available(LIMIT).await);
    assert_eq!(redis.publish("weather", "rain".into()).await.unwrap(), 1);
    let rain = Message::Payload {
        channel: "weather".to_owned(),
        payload: "rain".into(),
    };
    assert_eq!(next(&mut news).await, rain);
    server.kill9().await.unwrap();
    server.restart().await.unwrap();
    assert_eq!(
        next(&mut news).await,
        Message::Gap,
        "something may have been missed"
    );
    assert!(redis.wait_until_available(LIMIT).await);
    assert_eq!(redis.publish("weather", "rain".into()).await.unwrap(), 1);
    assert_eq!(next(&mut news).await, rain);
}

#[tokio::test]
async fn a_burst_loses_nothing_without_saying_so() {
    let server = PrivateRedis::start().await.unwrap();
    let redis = Redis::connect(Config::new(server.url()), system_clock()).unwrap();
    let mut news = redis.subscribe(&["news"]).unwrap();
    assert_eq!(news.next().await, Message::Gap);
    assert!(redis.wait_until_available(LIMIT).await);
    for number in 0..10_000_u32 {
        redis
            .publish("news", number.to_string().into())
            .await
            .unwrap();
    }
    redis.publish("news", "end".into()).await.unwrap();
    let (mut received, mut gaps) = (0, 0);
    loop {
        match tokio::time::timeout(LIMIT, news.next()).await.unwrap() {
            Message::Gap => gaps += 1,
            Message::Payload { payload, .. } if payload == "end" => break,
            Message::Payload { .. } => received += 1,
        }
    }
    assert!(
        received == 10_000 || gaps > 0,
        "{received} messages, {gaps} gaps"
    );
}

#[tokio::test]
async fn after_a_shutdown_nothing_is_sent() {
    let server = PrivateRedis::start().await.unwrap();
    let redis = impatient(&server.url());
    assert!(redis.wait_until_available(LIMIT).await);
    redis.shutdown().await;
    assert_eq!(redis.state(), State::Closed);
    assert!(redis.get("key").await.unwrap_err().is_unsent());
    // A frozen server does not hold it up.
    let redis = impatient(&server.url());
    assert!(redis.wait_until_available(LIMIT).await);
    server.freeze();
    tokio::time::timeout(Duration::from_secs(3), redis.shutdown())
        .await
        .unwrap();
    server.thaw();
}
