//! Nothing older than an acknowledged invalidation, in memory.

use std::{convert::Infallible, sync::Arc, time::Duration};

use mainstay_cache::{Loaded, Source as From, Tier};
use tokio::sync::{Notify, oneshot};

use crate::support::{Source, clock, eventually, key, memory, options};

#[tokio::test]
async fn an_invalidated_key_is_loaded_again() {
    let cache = memory(&clock()).await;
    let source = Source::default();
    source.get(&cache, &key("a"), &options()).await;
    source.get(&cache, &key("b"), &options()).await;
    let done = cache.invalidate(&[key("a")]).await;
    assert!(done.durable && done.shared);
    assert!(cache.get_hot(&key("a")).is_none());
    assert!(cache.get_hot(&key("b")).is_some());
    assert_eq!(
        &source.get(&cache, &key("a"), &options()).await.value[..],
        b"value 3"
    );
}

#[tokio::test]
async fn tags_of_the_options_and_of_the_loader_both_count() {
    let cache = memory(&clock()).await;
    let tagged = options().tags(["workspace:1"]);
    Source::default().get(&cache, &key("a"), &tagged).await;
    cache
        .get_or_load::<Infallible, _, _>(&key("b"), &tagged, || async {
            Ok(Loaded::Value {
                bytes: "b".into(),
                ttl: None,
                tags: vec!["persona:7".to_owned()],
            })
        })
        .await
        .unwrap();
    let _ = cache.invalidate_tags(&["persona:7"]).await;
    assert!(cache.get_hot(&key("a")).is_some());
    assert!(cache.get_hot(&key("b")).is_none());
    let _ = cache.invalidate_tags(&["workspace:1"]).await;
    assert!(cache.get_hot(&key("a")).is_none());
    let source = Source::default();
    source.get(&cache, &key("a"), &tagged).await;
    assert!(
        cache.get_hot(&key("a")).is_some(),
        "what was loaded after it is fine"
    );
}

#[tokio::test]
async fn clearing_drops_everything() {
    let cache = memory(&clock()).await;
    let source = Source::default();
    source.get(&cache, &key("a"), &options()).await;
    let _ = cache.clear(Some(Tier::Hot)).await;
    assert!(cache.get_hot(&key("a")).is_none());
    source.get(&cache, &key("a"), &options()).await;
    let _ = cache.clear(None).await;
    assert!(cache.get_hot(&key("a")).is_none());
    assert_eq!(cache.stats().hot.entries, Some(0));
}

/// A load that waits until it is told to bring `value`.
fn held(value: &'static str) -> (Held, impl FnOnce() -> HeldFuture + Send + 'static) {
    let (started, has_started) = oneshot::channel();
    let go = Arc::new(Notify::new());
    let release = Arc::clone(&go);
    let loader = move || {
        let future: HeldFuture = Box::pin(async move {
            let _ = started.send(());
            go.notified().await;
            Ok(Loaded::value(value))
        });
        future
    };
    (
        Held {
            has_started,
            release,
        },
        loader,
    )
}

type HeldFuture = std::pin::Pin<Box<dyn Future<Output = Result<Loaded, Infallible>> + Send>>;

struct Held {
    has_started: oneshot::Receiver<()>,
    release: Arc<Notify>,
}

#[tokio::test]
async fn a_load_that_began_before_an_invalidation_cannot_bring_the_old_value_back() {
    for by_tag in [false, true] {
        let cache = memory(&clock()).await;
        let options = options().tags(["tag"]);
        let (held, loader) = held("old");
        let caller = tokio::spawn({
            let (cache, options) = (cache.clone(), options.clone());
            async move {
                cache
                    .get_or_load(&key("a"), &options, loader)
                    .await
                    .unwrap()
            }
        });
        held.has_started.await.unwrap();
        if by_tag {
            let _ = cache.invalidate_tags(&["tag"]).await;
        } else {
            let _ = cache.invalidate(&[key("a")]).await;
        }
        held.release.notify_one();
        assert_eq!(
            &caller.await.unwrap().value[..],
            b"old",
            "it asked before the invalidation"
        );
        assert!(cache.get_hot(&key("a")).is_none());
        let after = Source::default().get(&cache, &key("a"), &options).await;
        assert_eq!(after.source, From::Loaded);
    }
}

#[tokio::test]
async fn who_asks_after_an_invalidation_does_not_get_what_a_load_under_way_brings() {
    let cache = memory(&clock()).await;
    let (held, loader) = held("old");
    let early = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache
                .get_or_load(&key("a"), &options(), loader)
                .await
                .unwrap()
        }
    });
    held.has_started.await.unwrap();
    let _ = cache.invalidate(&[key("a")]).await;
    let late = tokio::spawn({
        let cache = cache.clone();
        async move { Source::default().get(&cache, &key("a"), &options()).await }
    });
    eventually("a follower", async || cache.stats().followers == 1).await;
    assert!(!late.is_finished(), "one load at a time");
    held.release.notify_one();
    assert_eq!(&early.await.unwrap().value[..], b"old");
    assert_eq!(&late.await.unwrap().value[..], b"value 1");
}

#[tokio::test]
async fn a_load_does_not_overwrite_what_was_put_while_it_ran() {
    let cache = memory(&clock()).await;
    let (held, loader) = held("old");
    let caller = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache
                .get_or_load(&key("a"), &options(), loader)
                .await
                .unwrap()
        }
    });
    held.has_started.await.unwrap();
    let _ = cache.put(&key("a"), "new", &options()).await;
    held.release.notify_one();
    caller.await.unwrap();
    assert_eq!(&cache.get_hot(&key("a")).unwrap().value[..], b"new");
}

#[tokio::test]
async fn a_stale_value_that_was_invalidated_does_not_stand_in() {
    let clock = clock();
    let cache = memory(&clock).await;
    let options = options()
        .tags(["tag"])
        .stale_if_error(Duration::from_secs(600));
    Source::default().get(&cache, &key("a"), &options).await;
    clock.advance(Duration::from_secs(61));
    let _ = cache.invalidate_tags(&["tag"]).await;
    let failed = cache
        .get_or_load(&key("a"), &options, || async { Err::<Loaded, _>("down") })
        .await;
    assert!(failed.is_err());
}

#[tokio::test]
async fn a_read_only_handle_reads() {
    let cache = memory(&clock()).await;
    let reader = cache.read_only();
    assert!(reader.get(&key("a")).await.is_none());
    let _ = cache.put(&key("a"), "value", &options()).await;
    assert_eq!(&reader.get(&key("a")).await.unwrap().value[..], b"value");
    assert_eq!(&reader.get_hot(&key("a")).unwrap().value[..], b"value");
    assert_eq!(reader.stats().hot.entries, Some(1));
}
