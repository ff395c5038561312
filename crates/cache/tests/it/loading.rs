//! Reading through, in memory: one load, times, failures.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use mainstay_cache::{Key, LoadError, Loaded, Options, Source as From};
use tokio::sync::{Barrier, Notify, oneshot};

use crate::support::{Source, clock, eventually, key, memory, options};

#[tokio::test]
async fn a_value_is_loaded_once_and_then_comes_from_memory() {
    let cache = memory(&clock()).await;
    let source = Source::default();
    let first = source.get(&cache, &key("a"), &options()).await;
    assert_eq!(
        (first.source, &first.value[..]),
        (From::Loaded, b"value 1".as_slice())
    );
    let second = source.get(&cache, &key("a"), &options()).await;
    assert_eq!(
        (second.source, &second.value[..]),
        (From::Hot, b"value 1".as_slice())
    );
    assert!(!second.stale);
    assert_eq!(source.loads(), 1);
    assert_eq!(cache.get_hot(&key("a")).unwrap().value, first.value);
    assert!(cache.get_hot(&key("b")).is_none());
}

#[tokio::test]
async fn an_expired_value_is_loaded_again_and_its_age_is_told() {
    let clock = clock();
    let cache = memory(&clock).await;
    let source = Source::default();
    source.get(&cache, &key("a"), &options()).await;
    clock.advance(Duration::from_secs(59));
    let hit = source.get(&cache, &key("a"), &options()).await;
    assert_eq!((hit.source, hit.age), (From::Hot, Duration::from_secs(59)));
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        &source.get(&cache, &key("a"), &options()).await.value[..],
        b"value 2"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_of_an_expired_key_cause_one_load() {
    let clock = clock();
    let cache = memory(&clock).await;
    let source = Source::default();
    source.get(&cache, &key("a"), &options()).await;
    clock.advance(Duration::from_secs(61));
    let (running, loads) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let start = Arc::new(Barrier::new(1000));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (cache, running, loads, start) = (
            cache.clone(),
            Arc::clone(&running),
            Arc::clone(&loads),
            Arc::clone(&start),
        );
        tasks.spawn(async move {
            start.wait().await;
            let result: Result<_, LoadError<Infallible>> = cache
                .get_or_load(&key("a"), &options(), move || async move {
                    assert_eq!(
                        running.fetch_add(1, Ordering::SeqCst),
                        0,
                        "two loads at a time"
                    );
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    loads.fetch_add(1, Ordering::SeqCst);
                    Ok(Loaded::value("new"))
                })
                .await;
            result.unwrap().value
        });
    }
    while let Some(value) = tasks.join_next().await {
        assert_eq!(&value.unwrap()[..], b"new");
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    assert_eq!(cache.stats().loading, 0);
}

#[tokio::test]
async fn a_cancelled_leader_hands_over_to_a_follower() {
    let cache = memory(&clock()).await;
    let (started, has_started) = oneshot::channel();
    let leader = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache
                .get_or_load::<Infallible, _, _>(&key("a"), &options(), move || async move {
                    started.send(()).unwrap();
                    std::future::pending().await
                })
                .await
        }
    });
    has_started.await.unwrap();
    let follower = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache
                .get_or_load::<Infallible, _, _>(&key("a"), &options(), || async {
                    Ok(Loaded::value("follower's"))
                })
                .await
        }
    });
    eventually("a follower", async || cache.stats().followers == 1).await;
    leader.abort();
    assert_eq!(&follower.await.unwrap().unwrap().value[..], b"follower's");
}

#[tokio::test]
async fn a_panicking_loader_fails_its_callers_and_nobody_after_them() {
    let cache = memory(&clock()).await;
    let failed = cache
        .get_or_load::<Infallible, _, _>(&key("a"), &options(), || async {
            panic!("the loader's own fault")
        })
        .await;
    assert!(failed.unwrap_err().is_panic());
    let source = Source::default();
    assert_eq!(
        &source.get(&cache, &key("a"), &options()).await.value[..],
        b"value 1"
    );
}

#[tokio::test]
async fn followers_share_the_error_of_the_leader_and_its_type() {
    #[derive(Debug, PartialEq)]
    struct Broken(u8);
    let cache = memory(&clock()).await;
    let go = Arc::new(Notify::new());
    let call = |number| {
        let (cache, go) = (cache.clone(), Arc::clone(&go));
        tokio::spawn(async move {
            cache
                .get_or_load(&key("a"), &options(), move || async move {
                    go.notified().await;
                    Err::<Loaded, _>(Broken(number))
                })
                .await
        })
    };
    let first = call(1);
    eventually("a leader", async || cache.stats().loading == 1).await;
    let second = call(2);
    eventually("a follower", async || cache.stats().followers == 1).await;
    go.notify_one();
    assert_eq!(first.await.unwrap().unwrap_err().inner(), Some(&Broken(1)));
    assert_eq!(second.await.unwrap().unwrap_err().inner(), Some(&Broken(1)));
}

#[tokio::test]
async fn absence_is_remembered_and_is_not_an_empty_value() {
    let clock = clock();
    let cache = memory(&clock).await;
    let options = options().absent_ttl(Duration::from_secs(10));
    let loads = Arc::new(AtomicUsize::new(0));
    let ask = async |loaded: Loaded| {
        let loads = Arc::clone(&loads);
        cache
            .get_or_load::<Infallible, _, _>(&key("a"), &options, move || async move {
                loads.fetch_add(1, Ordering::SeqCst);
                Ok(loaded)
            })
            .await
            .unwrap()
    };
    assert!(ask(Loaded::Absent).await.is_absent());
    assert!(ask(Loaded::Absent).await.is_absent());
    assert_eq!(
        loads.load(Ordering::SeqCst),
        1,
        "known absence is not asked for again"
    );
    clock.advance(Duration::from_secs(10));
    let empty = ask(Loaded::value(Bytes::new())).await;
    assert!(!empty.is_absent());
    assert_eq!(ask(Loaded::Absent).await.present(), Some(Bytes::new()));
    assert_eq!(loads.load(Ordering::SeqCst), 2, "an empty value is a value");
}

#[tokio::test]
async fn a_value_for_those_who_wait_is_not_kept() {
    let cache = memory(&clock()).await;
    for _ in 0..2 {
        let got = cache
            .get_or_load::<Infallible, _, _>(&key("a"), &options(), || async {
                Ok(Loaded::Uncacheable {
                    bytes: Bytes::from_static(b"degraded"),
                })
            })
            .await
            .unwrap();
        assert_eq!(
            (&got.value[..], got.source),
            (b"degraded".as_slice(), From::Loaded)
        );
    }
    assert_eq!(cache.stats().loads, 2);
}

fn failing() -> impl FnOnce() -> std::future::Ready<Result<Loaded, &'static str>> + Send + 'static {
    || std::future::ready(Err("the source is down"))
}

#[tokio::test]
async fn a_stale_value_stands_in_for_a_failing_load_within_its_limit() {
    let clock = clock();
    let cache = memory(&clock).await;
    let options = options()
        .stale_if_error(Duration::from_secs(100))
        .error_pause(Duration::from_secs(5));
    Source::default().get(&cache, &key("a"), &options).await;
    clock.advance(Duration::from_secs(61));
    let stale = cache
        .get_or_load(&key("a"), &options, failing())
        .await
        .unwrap();
    assert!(stale.stale);
    assert_eq!(&stale.value[..], b"value 1");
    assert_eq!(cache.stats().load_failures, 1);
    // Within the pause the source is left alone.
    cache
        .get_or_load(&key("a"), &options, failing())
        .await
        .unwrap();
    assert_eq!(cache.stats().load_failures, 1);
    clock.advance(Duration::from_secs(5));
    cache
        .get_or_load(&key("a"), &options, failing())
        .await
        .unwrap();
    assert_eq!(cache.stats().load_failures, 2);
    clock.advance(Duration::from_secs(94));
    let error = cache
        .get_or_load(&key("a"), &options, failing())
        .await
        .unwrap_err();
    assert_eq!(error.inner(), Some(&"the source is down"));
}

#[tokio::test]
async fn while_revalidating_the_old_value_is_served_at_once() {
    let clock = clock();
    let cache = memory(&clock).await;
    let options = options().stale_while_revalidate(Duration::from_secs(30));
    let source = Source::default();
    source.get(&cache, &key("a"), &options).await;
    clock.advance(Duration::from_secs(70));
    let stale = source.get(&cache, &key("a"), &options).await;
    assert!(stale.stale);
    assert_eq!(&stale.value[..], b"value 1");
    eventually("a new value", async || {
        cache
            .get_hot(&key("a"))
            .is_some_and(|hit| &hit.value[..] == b"value 2")
    })
    .await;
    assert_eq!(source.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn past_the_soft_limit_the_old_value_is_served_and_the_load_goes_on() {
    let clock = clock();
    let cache = memory(&clock).await;
    let options = options().soft_timeout(Duration::from_millis(50));
    Source::default().get(&cache, &key("a"), &options).await;
    clock.advance(Duration::from_secs(61));
    let (finish, finished) = oneshot::channel::<()>();
    let got = cache
        .get_or_load::<Infallible, _, _>(&key("a"), &options, move || async move {
            finished.await.unwrap();
            Ok(Loaded::value("late"))
        })
        .await
        .unwrap();
    assert!(got.stale);
    finish.send(()).unwrap();
    eventually("the late value", async || {
        cache
            .get_hot(&key("a"))
            .is_some_and(|hit| &hit.value[..] == b"late")
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_load_that_takes_too_long_is_given_up() {
    let cache = memory(&clock()).await;
    let options = options().load_timeout(Duration::from_secs(3));
    let error = cache
        .get_or_load::<Infallible, _, _>(&key("a"), &options, std::future::pending)
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(cache.stats().loading, 0);
}

#[tokio::test]
async fn an_entry_nobody_asks_for_goes() {
    let clock = clock();
    let cache = memory(&clock).await;
    let options = options().time_to_idle(Duration::from_secs(10));
    let source = Source::default();
    source.get(&cache, &key("a"), &options).await;
    for _ in 0..4 {
        clock.advance(Duration::from_secs(9));
        assert!(cache.get_hot(&key("a")).is_some(), "readers keep it");
    }
    clock.advance(Duration::from_secs(10));
    assert!(cache.get_hot(&key("a")).is_none());
}

#[tokio::test]
async fn an_eager_refresh_replaces_an_entry_before_it_expires() {
    let clock = clock();
    let cache = memory(&clock).await;
    let options = options().eager_refresh(1.0);
    let slow = |value: &'static str| {
        let clock = clock.clone();
        move || async move {
            // On the cache's clock the load takes 10 s.
            clock.advance(Duration::from_secs(10));
            Ok::<_, Infallible>(Loaded::value(value))
        }
    };
    cache
        .get_or_load(&key("a"), &options, slow("old"))
        .await
        .unwrap();
    let mut refreshed_at = None;
    for second in 0..60 {
        let hit = cache
            .get_or_load(&key("a"), &options, slow("new"))
            .await
            .unwrap();
        assert!(!hit.stale);
        if cache.stats().background_loads > 0 {
            refreshed_at = Some(second);
            break;
        }
        clock.advance(Duration::from_secs(1));
    }
    let second = refreshed_at.expect("it was refreshed while fresh");
    assert!(
        second > 5,
        "not right after it was stored, but after {second} s"
    );
    eventually("the new value", async || {
        cache
            .get_hot(&key("a"))
            .is_some_and(|hit| &hit.value[..] == b"new")
    })
    .await;
}

#[tokio::test]
async fn jitter_spreads_the_expiry_of_entries_stored_together() {
    let clock = clock();
    let cache = memory(&clock).await;
    let options = Options::ttl(Duration::from_secs(100)).jitter(0.5);
    let keys: Vec<Key> = (0..200).map(|number| key(&number.to_string())).collect();
    for key in &keys {
        let _ = cache.put(key, "value", &options).await;
    }
    let alive = || {
        keys.iter()
            .filter(|key| cache.get_hot(key).is_some())
            .count()
    };
    assert_eq!(alive(), 200);
    clock.advance(Duration::from_secs(75));
    assert!(
        (60..140).contains(&alive()),
        "about half are left, not {}",
        alive()
    );
    clock.advance(Duration::from_secs(25));
    assert_eq!(alive(), 0, "none lives longer than its ttl");
}

#[tokio::test]
async fn memory_stays_within_its_bytes() {
    let cache = memory(&clock()).await;
    for number in 0..20_000_u32 {
        let _ = cache
            .put(&key(&number.to_string()), vec![0; 1024], &options())
            .await;
        assert!(cache.stats().hot.bytes <= 4 << 20);
    }
    let stats = cache.stats();
    assert!(stats.hot.evictions > 10_000);
    assert!(stats.hot.bytes > 3 << 20, "and it uses them");
}

#[tokio::test]
async fn a_value_too_large_for_memory_is_answered_and_not_kept() {
    let cache = memory(&clock()).await;
    let got = cache
        .get_or_load::<Infallible, _, _>(&key("a"), &options(), || async {
            Ok(Loaded::value(vec![1; 3 << 20]))
        })
        .await
        .unwrap();
    assert_eq!(got.value.len(), 3 << 20);
    assert!(cache.get_hot(&key("a")).is_none());
}

#[tokio::test]
async fn a_namespace_cannot_push_out_the_others() {
    let clock = clock();
    let cache = crate::support::builder(&clock)
        .namespace_quota(512 << 10)
        .build()
        .await
        .unwrap();
    let quiet = Key::new("quiet", ["only one"]);
    let _ = cache.put(&quiet, "here", &options()).await;
    for number in 0..20_000_u32 {
        let loud = Key::new("loud", [number.to_le_bytes()]);
        let _ = cache.put(&loud, vec![0; 1024], &options()).await;
    }
    assert!(cache.get_hot(&quiet).is_some());
    assert!(cache.stats().hot.bytes < 600 << 10);
}

#[tokio::test]
async fn the_hit_rate_is_that_of_the_last_minutes() {
    let clock = clock();
    let cache = memory(&clock).await;
    let source = Source::default();
    assert_eq!(cache.stats().hit_rate, None);
    for _ in 0..4 {
        source.get(&cache, &key("a"), &options()).await;
    }
    assert_eq!(cache.stats().hit_rate, Some(0.75));
    clock.advance(Duration::from_secs(10));
    cache.maintain().await;
    clock.advance(Duration::from_secs(300));
    assert_eq!(cache.stats().hit_rate, None);
}
