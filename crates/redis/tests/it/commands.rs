//! The commands, on a server that is well.

use std::time::Duration;

use bytes::Bytes;
use mainstay_redis::{Config, Redis, Script, Value};
use mainstay_resilience::system_clock;
use mainstay_testkit::redis::{PrivateRedis, unique_prefix};

use crate::support::{LIMIT, shared};

#[tokio::test]
async fn values_are_set_read_counted_and_deleted() {
    let (redis, prefix) = (shared().await, unique_prefix());
    let key = |name: &str| format!("{prefix}{name}");
    assert_eq!(redis.get(&key("a")).await.unwrap(), None);
    let any = Bytes::from_static(b"any bytes \0\xff");
    redis.set(&key("a"), any.clone(), None).await.unwrap();
    assert_eq!(redis.get(&key("a")).await.unwrap(), Some(any));
    assert!(
        !redis
            .set_if_absent(&key("a"), "other".into(), None)
            .await
            .unwrap()
    );
    assert!(
        redis
            .set_if_absent(&key("b"), "b".into(), Some(LIMIT))
            .await
            .unwrap()
    );
    assert_eq!(redis.increment(&key("n"), 5).await.unwrap(), 5);
    assert_eq!(redis.increment(&key("n"), -2).await.unwrap(), 3);
    assert!(redis.expire(&key("n"), LIMIT).await.unwrap());
    assert!(!redis.expire(&key("none"), LIMIT).await.unwrap());
    let deleted = redis
        .delete(&[&key("a"), &key("b"), &key("none")])
        .await
        .unwrap();
    assert_eq!(deleted, 2);
    assert_eq!(redis.delete(&[]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_value_expires_after_its_time_and_never_without_one() {
    let (redis, prefix) = (shared().await, unique_prefix());
    redis
        .set(&prefix, "short".into(), Some(Duration::from_millis(30)))
        .await
        .unwrap();
    crate::support::eventually("its end", async || {
        redis.get(&prefix).await.unwrap().is_none()
    })
    .await;
    // Less than a millisecond is not "for ever".
    redis
        .set(&prefix, "shorter".into(), Some(Duration::from_nanos(1)))
        .await
        .unwrap();
    crate::support::eventually("its end", async || {
        redis.get(&prefix).await.unwrap().is_none()
    })
    .await;
}

#[tokio::test]
async fn scripts_run_as_one_step_and_survive_a_server_that_forgot_them() {
    let server = PrivateRedis::start().await.unwrap();
    let redis = Redis::connect(Config::new(server.url()), system_clock()).unwrap();
    assert!(redis.wait_until_available(LIMIT).await);
    let script = Script::new("return {redis.call('INCR', KEYS[1]), ARGV[1], false}");
    let run = async || {
        redis
            .script(&script, &["key"], vec![Bytes::from_static(b"\xff\0")])
            .await
    };
    for count in 1..=2 {
        let expected = Value::Array(vec![
            Value::Integer(count),
            Value::Bytes(Bytes::from_static(b"\xff\0")),
            Value::Null,
        ]);
        assert_eq!(run().await.unwrap(), expected);
    }
    server.restart().await.unwrap();
    assert!(redis.wait_until_available(LIMIT).await);
    assert_eq!(
        run().await.unwrap().as_array().unwrap()[0],
        Value::Integer(1)
    );
}

#[tokio::test]
async fn a_refusal_of_the_server_is_no_outage() {
    let (redis, prefix) = (shared().await, unique_prefix());
    redis.set(&prefix, "no number".into(), None).await.unwrap();
    let error = redis.increment(&prefix, 1).await.unwrap_err();
    assert!(!error.is_unavailable() && !error.is_timeout());
    assert!(!error.to_string().contains(&prefix), "errors name no keys");
    redis.ping().await.unwrap();
    let failing = Script::new("return redis.error_reply('on purpose')");
    assert!(
        !redis
            .script(&failing, &[], vec![])
            .await
            .unwrap_err()
            .is_unavailable()
    );
}

#[tokio::test]
async fn settings_that_make_no_sense_are_named() {
    let fields = |change: fn(&mut Config)| {
        let mut config = Config::new("redis://127.0.0.1:1");
        change(&mut config);
        config.validate().unwrap_err().field()
    };
    assert_eq!(
        fields(|config| config.url = "http://nonsense".to_owned().into()),
        "url"
    );
    assert_eq!(
        fields(|config| config.command_timeout = Duration::ZERO),
        "command_timeout_ms"
    );
    assert_eq!(fields(|config| config.max_in_flight = 0), "max_in_flight");
    assert_eq!(
        fields(|config| config.breaker_failures = 0),
        "breaker_failures"
    );
    assert_eq!(
        fields(|config| config.reconnect_max = Duration::ZERO),
        "reconnect_max_ms"
    );
}

#[tokio::test]
async fn a_password_is_never_printed() {
    let config = Config::new("redis://user:very-secret@127.0.0.1:1");
    assert!(!format!("{config:?}").contains("very-secret"));
    let redis = Redis::connect(config, system_clock()).unwrap();
    assert!(!format!("{redis:?}").contains("very-secret"));
    let error = redis.ping().await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("very-secret"));
    let mut wrong = Config::new("redis://user:very-secret@:nonsense");
    wrong.max_in_flight = 1;
    if let Err(error) = wrong.validate() {
        assert!(!format!("{error:?} {error}").contains("very-secret"));
    }
}
