//! What the engine does by itself. These tests pin its behaviour that this
//! crate works round, so that we notice when a new version changes it.

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::{ClientLike, EventInterface, KeysInterface, PubsubInterface, TrackingInterface},
    types::{
        Builder, RespVersion,
        config::{Config, Options, ReconnectPolicy},
    },
};
use mainstay_testkit::redis::PrivateRedis;

use crate::support::eventually;

fn builder(url: &str) -> Builder {
    let mut config = Config::from_url(url).unwrap();
    config.fail_fast = false;
    let mut builder = Builder::from_config(config);
    builder.set_policy(ReconnectPolicy::new_constant(0, 50));
    builder
}

async fn connected(builder: &Builder) -> Client {
    let client = builder.build().unwrap();
    client.init().await.unwrap();
    client
}

#[tokio::test]
async fn by_default_a_command_waits_for_ever_while_the_server_is_frozen() {
    let server = PrivateRedis::start().await.unwrap();
    let client = connected(&builder(&server.url())).await;
    server.freeze();
    let waiting = tokio::time::timeout(
        Duration::from_secs(2),
        client.get::<Option<String>, _>("key"),
    )
    .await;
    server.thaw();
    assert!(waiting.is_err());
}

#[tokio::test]
async fn by_default_a_command_waits_for_ever_while_the_server_is_away() {
    let server = PrivateRedis::start().await.unwrap();
    let client = connected(&builder(&server.url())).await;
    server.kill9().await.unwrap();
    eventually("the loss", async || !client.is_connected()).await;
    let waiting = tokio::time::timeout(
        Duration::from_secs(2),
        client.get::<Option<String>, _>("key"),
    )
    .await;
    assert!(waiting.is_err());
}

#[tokio::test]
async fn a_set_that_was_reported_as_timed_out_is_applied_later() {
    let server = PrivateRedis::start().await.unwrap();
    let client = connected(&builder(&server.url())).await;
    server.freeze();
    let impatient = client.with_options(&Options {
        timeout: Some(Duration::from_millis(100)),
        fail_fast: true,
        ..Options::default()
    });
    let reported: Result<(), _> = impatient.set("key", "late", None, None, false).await;
    assert!(reported.is_err());
    server.thaw();
    eventually("the late write", async || {
        client
            .get::<Option<String>, _>("key")
            .await
            .is_ok_and(|value| value.as_deref() == Some("late"))
    })
    .await;
}

#[tokio::test]
async fn a_message_handler_ends_silently_when_it_falls_behind() {
    let server = PrivateRedis::start().await.unwrap();
    let subscriber = builder(&server.url()).build_subscriber_client().unwrap();
    subscriber.init().await.unwrap();
    let handler = subscriber.on_message(|_| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    });
    subscriber.subscribe("news").await.unwrap();
    let publisher = connected(&builder(&server.url())).await;
    for number in 0..500_u32 {
        let _: i64 = publisher.publish("news", number.to_string()).await.unwrap();
    }
    eventually("the handler's end", async || handler.is_finished()).await;
}

#[tokio::test]
async fn client_side_tracking_is_lost_with_the_connection() {
    let server = PrivateRedis::start().await.unwrap();
    let mut resp3 = builder(&server.url());
    resp3.with_config(|config| config.version = RespVersion::RESP3);
    let tracking = connected(&resp3).await;
    tracking
        .start_tracking(Vec::<String>::new(), true, false, false, false)
        .await
        .unwrap();
    let mut invalidated = tracking.invalidation_rx();
    let writer = connected(&builder(&server.url())).await;
    let _: () = writer.set("key", "1", None, None, false).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), invalidated.recv())
        .await
        .unwrap()
        .unwrap();
    let (mut tracking_back, mut writer_back) = (tracking.reconnect_rx(), writer.reconnect_rx());
    server.restart().await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), tracking_back.recv())
        .await
        .unwrap()
        .unwrap();
    tokio::time::timeout(Duration::from_secs(20), writer_back.recv())
        .await
        .unwrap()
        .unwrap();
    while invalidated.try_recv().is_ok() {}
    let _: () = writer.set("key", "2", None, None, false).await.unwrap();
    let news = tokio::time::timeout(Duration::from_secs(2), invalidated.recv()).await;
    assert!(news.is_err(), "{news:?}");
}

#[tokio::test]
async fn a_full_command_buffer_is_never_recovered_from() {
    let server = PrivateRedis::start().await.unwrap();
    let mut limited = builder(&server.url());
    limited.with_connection_config(|connection| connection.max_command_buffer_len = 100);
    limited.with_performance_config(|performance| {
        performance.default_command_timeout = Duration::from_millis(200);
    });
    let client = connected(&limited).await;
    server.kill9().await.unwrap();
    eventually("the loss", async || !client.is_connected()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..400_u32 {
        let client = client.clone();
        tasks.spawn(async move {
            client
                .set::<(), _, _>(number.to_string(), "value", None, None, false)
                .await
        });
    }
    while tasks.join_next().await.is_some() {}
    server.restart().await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(4);
    let mut answered = false;
    while tokio::time::Instant::now() < deadline {
        answered |= client.get::<Option<String>, _>("key").await.is_ok();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        !answered,
        "the engine recovers now: the limit could be used again"
    );
}
