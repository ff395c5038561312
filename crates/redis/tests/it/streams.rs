//! Streams and their readers.

use std::time::Duration;

use bytes::Bytes;
use mainstay_testkit::redis::{PrivateRedis, unique_prefix};

use crate::support::{LIMIT, eventually, impatient, shared};

fn fields(text: &str) -> Vec<(String, Bytes)> {
    vec![
        ("text".to_owned(), Bytes::from(text.to_owned())),
        ("raw".to_owned(), Bytes::from_static(b"\0\xff")),
    ]
}

#[tokio::test]
async fn entries_are_read_in_order_from_where_the_reader_stopped() {
    let (redis, key) = (shared().await, unique_prefix());
    assert!(redis.stream_read(&key, "0", 10).await.unwrap().is_empty());
    assert_eq!(redis.stream_ends(&key).await.unwrap(), None);
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(
            redis
                .stream_append(&key, fields(&number.to_string()), 100)
                .await
                .unwrap(),
        );
    }
    let first = redis.stream_read(&key, "0", 3).await.unwrap();
    assert_eq!(first.len(), 3);
    assert_eq!(first[0].field("text").unwrap(), "0");
    assert_eq!(
        first[0].field("raw").unwrap(),
        &Bytes::from_static(b"\0\xff")
    );
    assert_eq!(first[0].field("none"), None);
    let rest = redis.stream_read(&key, &first[2].id, 10).await.unwrap();
    let rest: Vec<&String> = rest.iter().map(|entry| &entry.id).collect();
    assert_eq!(rest, [&ids[3], &ids[4]]);
    assert_eq!(
        redis.stream_ends(&key).await.unwrap(),
        Some((ids[0].clone(), ids[4].clone()))
    );
}

#[tokio::test]
async fn a_reader_waits_for_news_and_no_longer() {
    let (redis, key) = (shared().await, unique_prefix());
    let mut reader = redis.stream_reader(Duration::from_secs(5)).unwrap();
    eventually("its connection", async || reader.is_connected()).await;
    let nothing = reader
        .read(&key, "0", 10, Duration::from_millis(50))
        .await
        .unwrap();
    assert!(nothing.is_empty());
    let waiting = tokio::spawn({
        let key = key.clone();
        async move { reader.read(&key, "0", 10, Duration::from_secs(5)).await }
    });
    redis
        .stream_append(&key, fields("news"), 100)
        .await
        .unwrap();
    let news = tokio::time::timeout(LIMIT, waiting)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(news.len(), 1);
    // The shared connection was never blocked by it.
    redis.ping().await.unwrap();
}

#[tokio::test]
async fn a_reader_goes_on_after_an_outage_where_it_stopped() {
    let server = PrivateRedis::start_with(&[("appendonly", "yes")])
        .await
        .unwrap();
    let redis = impatient(&server.url());
    assert!(redis.wait_until_available(LIMIT).await);
    let mut reader = redis.stream_reader(Duration::from_secs(1)).unwrap();
    eventually("its connection", async || reader.is_connected()).await;
    let first = redis
        .stream_append("stream", fields("1"), 100)
        .await
        .unwrap();
    server.stop().await.unwrap();
    eventually("the loss", async || {
        reader
            .read("stream", &first, 10, Duration::from_millis(10))
            .await
            .is_err()
    })
    .await;
    server.restart().await.unwrap();
    assert!(redis.wait_until_available(LIMIT).await);
    let second = redis
        .stream_append("stream", fields("2"), 100)
        .await
        .unwrap();
    let mut news = Vec::new();
    eventually("the news", async || {
        if let Ok(read) = reader
            .read("stream", &first, 10, Duration::from_millis(100))
            .await
        {
            news = read;
        }
        !news.is_empty()
    })
    .await;
    assert_eq!(news[0].id, second);
}
