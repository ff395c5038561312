//! Several instances and the server that they share.

use std::{convert::Infallible, sync::Arc, time::Duration};

use mainstay_cache::{Cache, EncryptionKey, Loaded, Source as From};
use mainstay_redis::{Config, Redis};
use mainstay_resilience::{ManualClock, system_clock};
use mainstay_testkit::{
    proxy::BreakableProxy,
    redis::{PrivateRedis, shared_url, unique_prefix},
};
use tokio::sync::{Notify, oneshot};

use crate::support::{LIMIT, Source, builder, clock, eventually, key, options, warm};

fn connect(url: &str) -> Redis {
    let mut config = Config::new(url);
    // A test machine has its own idea of time.
    config.command_timeout = Duration::from_secs(2);
    Redis::connect(config, system_clock()).unwrap()
}

fn impatient(url: &str) -> Redis {
    let mut config = Config::new(url);
    config.command_timeout = Duration::from_millis(100);
    config.breaker_open = Duration::from_millis(100);
    Redis::connect(config, system_clock()).unwrap()
}

fn state(cache: &Cache) -> &'static str {
    cache.stats().shared.unwrap().state
}

async fn instance(clock: &ManualClock, redis: Redis, prefix: &str) -> Cache {
    let cache = builder(clock).shared(redis, prefix).build().await.unwrap();
    up(&cache).await;
    cache
}

async fn up(cache: &Cache) {
    eventually("the shared tier", async || state(cache) == "up").await;
}

/// What was loaded reaches the server behind the caller's back.
async fn filled(cache: &Cache, entries: u64) {
    eventually("entries on the server", async || {
        cache.stats().shared.unwrap().writes >= entries
    })
    .await;
}

#[tokio::test]
async fn what_one_instance_loads_another_finds() {
    let (clock, prefix) = (clock(), unique_prefix());
    let url = shared_url().unwrap();
    let one = instance(&clock, connect(&url), &prefix).await;
    let other = instance(&clock, connect(&url), &prefix).await;
    let source = Source::default();
    source.get(&one, &key("a"), &options()).await;
    filled(&one, 1).await;
    clock.advance(Duration::from_secs(7));
    let hit = source.get(&other, &key("a"), &options()).await;
    assert_eq!(
        (hit.source, hit.age),
        (From::Shared, Duration::from_secs(7))
    );
    assert!(hit.verified);
    assert_eq!(
        source.get(&other, &key("a"), &options()).await.source,
        From::Hot
    );
    assert_eq!(source.loads(), 1);
}

#[tokio::test]
async fn an_invalidation_reaches_the_memory_of_the_others() {
    let (clock, prefix) = (clock(), unique_prefix());
    let url = shared_url().unwrap();
    let one = instance(&clock, connect(&url), &prefix).await;
    let other = instance(&clock, connect(&url), &prefix).await;
    let tagged = options().tags(["tag"]);
    for (name, by_tag) in [("by key", false), ("by tag", true)] {
        Source::default().get(&one, &key(name), &tagged).await;
        eventually("the entry everywhere", async || {
            other.get(&key(name)).await.is_some()
        })
        .await;
        let told = if by_tag {
            one.invalidate_tags(&["tag"]).await
        } else {
            one.invalidate(&[key(name)]).await
        };
        assert!(told.shared);
        assert!(one.get(&key(name)).await.is_none());
        eventually("the news", async || other.get_hot(&key(name)).is_none()).await;
        assert!(other.get(&key(name)).await.is_none(), "nor from the server");
    }
}

#[tokio::test]
async fn a_put_replaces_what_the_others_keep() {
    let (clock, prefix) = (clock(), unique_prefix());
    let url = shared_url().unwrap();
    let one = instance(&clock, connect(&url), &prefix).await;
    let other = instance(&clock, connect(&url), &prefix).await;
    assert!(one.put(&key("a"), "old", &options()).await.shared);
    eventually("the old value", async || {
        other.get(&key("a")).await.is_some()
    })
    .await;
    assert!(one.put(&key("a"), "new", &options()).await.shared);
    eventually("the new value", async || {
        other
            .get(&key("a"))
            .await
            .is_some_and(|hit| &hit.value[..] == b"new")
    })
    .await;
}

#[tokio::test]
async fn two_instances_load_a_key_once() {
    let (clock, prefix) = (clock(), unique_prefix());
    let url = shared_url().unwrap();
    let one = instance(&clock, connect(&url), &prefix).await;
    let other = instance(&clock, connect(&url), &prefix).await;
    let (started, has_started) = oneshot::channel();
    let go = Arc::new(Notify::new());
    let loading = tokio::spawn({
        let go = Arc::clone(&go);
        async move {
            one.get_or_load::<Infallible, _, _>(&key("a"), &options(), move || async move {
                started.send(()).unwrap();
                go.notified().await;
                Ok(Loaded::value("once"))
            })
            .await
            .unwrap()
        }
    });
    has_started.await.unwrap();
    let source = Source::default();
    let waiting = tokio::spawn({
        let source = source.clone();
        async move { source.get(&other, &key("a"), &options()).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    go.notify_one();
    loading.await.unwrap();
    let found = waiting.await.unwrap();
    assert_eq!(
        (found.source, &found.value[..]),
        (From::Shared, b"once".as_slice())
    );
    assert_eq!(source.loads(), 0);
}

#[tokio::test]
async fn a_load_in_one_instance_cannot_undo_an_invalidation_by_another() {
    let (clock, prefix) = (clock(), unique_prefix());
    let url = shared_url().unwrap();
    let one = instance(&clock, connect(&url), &prefix).await;
    let other = instance(&clock, connect(&url), &prefix).await;
    for by_tag in [false, true] {
        let options = options().tags(["tag"]);
        let (started, has_started) = oneshot::channel();
        let go = Arc::new(Notify::new());
        let loading = tokio::spawn({
            let (one, options, go) = (one.clone(), options.clone(), Arc::clone(&go));
            async move {
                one.get_or_load::<Infallible, _, _>(&key("a"), &options, move || async move {
                    started.send(()).unwrap();
                    go.notified().await;
                    Ok(Loaded::value("old"))
                })
                .await
                .unwrap()
            }
        });
        has_started.await.unwrap();
        let told = if by_tag {
            other.invalidate_tags(&["tag"]).await
        } else {
            other.invalidate(&[key("a")]).await
        };
        assert!(told.shared);
        go.notify_one();
        loading.await.unwrap();
        let dropped = one.stats().shared.unwrap();
        eventually("the end of the write", async || {
            let now = one.stats().shared.unwrap();
            now.dropped > dropped.dropped
                || now.writes > dropped.writes
                || one.get_hot(&key("a")).is_none()
        })
        .await;
        assert!(other.get(&key("a")).await.is_none(), "by tag: {by_tag}");
    }
}

#[tokio::test]
async fn with_the_server_gone_everything_else_goes_on_and_it_is_used_again_when_back() {
    let redis = PrivateRedis::start().await.unwrap();
    let clock = clock();
    let cache = instance(&clock, impatient(&redis.url()), "test").await;
    let source = Source::default();
    source.get(&cache, &key("a"), &options()).await;
    redis.kill9().await.unwrap();
    for number in 0..200 {
        source
            .get(&cache, &key(&number.to_string()), &options())
            .await;
    }
    assert_eq!(
        source.get(&cache, &key("a"), &options()).await.source,
        From::Hot
    );
    redis.restart().await.unwrap();
    up(&cache).await;
    let before = cache.stats().shared.unwrap().writes;
    source.get(&cache, &key("b"), &options()).await;
    filled(&cache, before + 1).await;
}

#[tokio::test]
async fn a_frozen_server_costs_a_bounded_time_and_then_nothing() {
    let redis = PrivateRedis::start().await.unwrap();
    let clock = clock();
    let cache = instance(&clock, impatient(&redis.url()), "test").await;
    redis.freeze();
    let source = Source::default();
    let started = std::time::Instant::now();
    for number in 0..200 {
        source
            .get(&cache, &key(&number.to_string()), &options())
            .await;
    }
    let took = started.elapsed();
    redis.thaw();
    // 200 loads with two or three commands each would take a minute without
    // the breaker.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(source.loads(), 200);
    up(&cache).await;
}

#[tokio::test]
async fn what_was_invalidated_while_the_server_was_away_is_told_when_it_is_back() {
    let redis = PrivateRedis::start().await.unwrap();
    let proxy = BreakableProxy::start(std::net::SocketAddr::from(([127, 0, 0, 1], redis.port())))
        .await
        .unwrap();
    let behind_proxy = format!(
        "redis://default:{}@127.0.0.1:{}",
        redis.password(),
        proxy.port()
    );
    let clock = clock();
    let one = instance(&clock, impatient(&behind_proxy), "test").await;
    let other = instance(&clock, connect(&redis.url()), "test").await;
    let tagged = options().tags(["tag"]);
    for name in ["by key", "by tag", "kept"] {
        let options = if name == "by tag" {
            &tagged
        } else {
            &options()
        };
        Source::default().get(&one, &key(name), options).await;
        eventually("the entry everywhere", async || {
            other.get(&key(name)).await.is_some()
        })
        .await;
    }
    proxy.cut();
    eventually("the cut", async || state(&one) != "up").await;
    assert!(!one.invalidate(&[key("by key")]).await.shared);
    assert!(!one.invalidate_tags(&["tag"]).await.shared);
    proxy.restore();
    up(&one).await;
    assert!(one.get(&key("by key")).await.is_none());
    assert!(one.get(&key("by tag")).await.is_none());
    eventually("the news", async || {
        other.get(&key("by key")).await.is_none() && other.get(&key("by tag")).await.is_none()
    })
    .await;
    assert!(other.get(&key("kept")).await.is_some());
}

#[tokio::test]
async fn what_others_invalidated_while_this_instance_was_cut_off_is_caught_up() {
    let redis = PrivateRedis::start().await.unwrap();
    let proxy = BreakableProxy::start(std::net::SocketAddr::from(([127, 0, 0, 1], redis.port())))
        .await
        .unwrap();
    let behind_proxy = format!(
        "redis://default:{}@127.0.0.1:{}",
        redis.password(),
        proxy.port()
    );
    let clock = clock();
    let one = instance(&clock, impatient(&behind_proxy), "test").await;
    let other = instance(&clock, connect(&redis.url()), "test").await;
    for name in ["gone", "kept"] {
        Source::default().get(&one, &key(name), &options()).await;
        filled(&one, 1).await;
    }
    proxy.cut();
    eventually("the cut", async || state(&one) != "up").await;
    assert!(other.invalidate(&[key("gone")]).await.shared);
    assert!(one.get_hot(&key("gone")).is_some(), "it cannot know yet");
    proxy.restore();
    eventually("the news", async || one.get_hot(&key("gone")).is_none()).await;
    assert!(
        one.get_hot(&key("kept")).is_some(),
        "and nothing else was dropped"
    );
}

#[tokio::test]
async fn when_the_server_forgot_everything_so_does_the_instance() {
    let redis = PrivateRedis::start().await.unwrap();
    let clock = clock();
    let cache = instance(&clock, impatient(&redis.url()), "test").await;
    let source = Source::default();
    source.get(&cache, &key("a"), &options()).await;
    // What others invalidated in the meantime died with the server.
    redis.restart().await.unwrap();
    eventually("the news", async || cache.get_hot(&key("a")).is_none()).await;
    up(&cache).await;
}

#[tokio::test]
async fn a_restarted_instance_catches_up_before_its_disk_is_believed_for_long() {
    let (dir, clock, prefix) = (tempfile::tempdir().unwrap(), clock(), unique_prefix());
    let url = shared_url().unwrap();
    let build = async || {
        let cache = builder(&clock)
            .warm(warm(dir.path()))
            .shared(connect(&url), &prefix)
            .build()
            .await
            .unwrap();
        up(&cache).await;
        cache
    };
    let one = build().await;
    let other = instance(&clock, connect(&url), &prefix).await;
    for name in ["gone", "kept"] {
        let _ = one.put(&key(name), name, &options()).await;
    }
    one.shutdown(LIMIT).await;
    assert!(other.invalidate(&[key("gone")]).await.shared);
    let one = build().await;
    eventually("the news", async || one.get(&key("gone")).await.is_none()).await;
    assert_eq!(one.get(&key("kept")).await.unwrap().source, From::Warm);
}

#[tokio::test]
async fn the_server_sees_neither_values_nor_keys() {
    let (clock, prefix) = (clock(), unique_prefix());
    let url = shared_url().unwrap();
    let build = async || {
        let cache = builder(&clock)
            .shared(connect(&url), &prefix)
            .encryption(EncryptionKey::new([1; 32]))
            .build()
            .await
            .unwrap();
        up(&cache).await;
        cache
    };
    let (one, other) = (build().await, build().await);
    let secret = key("what is the salary of the boss");
    let _ = one.put(&secret, "a secret", &options()).await;
    assert_eq!(&other.get(&secret).await.unwrap().value[..], b"a secret");
    let _ = one.invalidate(std::slice::from_ref(&secret)).await;
    eventually("the news", async || other.get_hot(&secret).is_none()).await;
    let digest: String = secret
        .digest()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let plain = connect(&url);
    assert!(plain.wait_until_available(LIMIT).await);
    assert_eq!(
        plain
            .get(&format!("{prefix}:{{{digest}}}:v"))
            .await
            .unwrap(),
        None
    );
    let stream = plain
        .stream_read(&format!("{{{prefix}}}:invalidated"), "0", 100)
        .await
        .unwrap();
    assert!(!stream.is_empty());
    for entry in stream {
        assert!(
            entry
                .fields
                .iter()
                .all(|(_, value)| value[..] != secret.digest())
        );
    }
}
