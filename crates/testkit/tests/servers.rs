//! The private servers do what the tests that break them rely on.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests drive real processes; a helper that fails is a test that fails"
)]

use std::time::Duration;

use mainstay_testkit::database::TestDatabase;
use mainstay_testkit::postgres::PrivatePostgres;
use mainstay_testkit::redis::PrivateRedis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

/// Long enough for any answer, so only silence runs into it.
const SILENCE: Duration = Duration::from_millis(500);

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
async fn two_test_databases_do_not_see_each_other() {
    let (first, second) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    let (first, second) = (first.unwrap(), second.unwrap());
    let client = first.connect().await.unwrap();
    client
        .batch_execute("CREATE TABLE t (n int)")
        .await
        .unwrap();
    let other = second.connect().await.unwrap();
    assert!(other.batch_execute("SELECT n FROM t").await.is_err());
}

#[tokio::test]
async fn a_dropped_test_database_is_gone_even_while_somebody_is_connected() {
    let keeper = TestDatabase::create().await.unwrap();
    let database = TestDatabase::create().await.unwrap();
    let name = database.name().to_owned();
    let _still_connected = database.connect().await.unwrap();
    drop(database);
    let left = keeper
        .connect()
        .await
        .unwrap()
        .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
        .await
        .unwrap();
    assert!(left.is_none());
}

#[tokio::test]
async fn a_prepared_database_is_prepared_once_and_copied() {
    let key = format!("once_{}", std::process::id());
    let prepare = async |url: &str| {
        let client = connect(url).await?;
        client
            .batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
            .await
    };
    let first = TestDatabase::prepared(&key, prepare).await.unwrap();
    first
        .connect()
        .await
        .unwrap()
        .batch_execute("DELETE FROM t")
        .await
        .unwrap();
    let second =
        TestDatabase::prepared(&key, async |_: &str| Err::<(), _>("prepared a second time"))
            .await
            .unwrap();
    let row = second
        .connect()
        .await
        .unwrap()
        .query_one("SELECT n FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
}

#[tokio::test]
async fn a_killed_postgres_comes_back_on_its_port_with_what_was_committed() {
    let postgres = PrivatePostgres::start().await.unwrap();
    let client = connect(&postgres.url()).await.unwrap();
    client
        .batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
        .await
        .unwrap();

    postgres.kill9().await.unwrap();
    assert!(!postgres.is_running());
    assert!(client.batch_execute("SELECT 1").await.is_err());
    assert!(connect(&postgres.url()).await.is_err());

    postgres.restart().await.unwrap();
    let row = connect(&postgres.url())
        .await
        .unwrap()
        .query_one("SELECT n FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
}

#[tokio::test]
async fn a_frozen_postgres_is_silent_to_open_sessions_and_answers_when_thawed() {
    let postgres = PrivatePostgres::start().await.unwrap();
    let client = connect(&postgres.url()).await.unwrap();
    postgres.freeze();
    let mut query = Box::pin(client.batch_execute("SELECT 1"));
    assert!(timeout(SILENCE, &mut query).await.is_err());
    postgres.thaw();
    query.await.unwrap();
}

async fn ask(stream: &mut TcpStream, command: &str) -> std::io::Result<String> {
    stream.write_all(command.as_bytes()).await?;
    let mut reply = [0; 128];
    let length = stream.read(&mut reply).await?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}

async fn login(redis: &PrivateRedis) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port()))
        .await
        .unwrap();
    let login = format!("AUTH {}\r\n", redis.password());
    assert_eq!(ask(&mut stream, &login).await.unwrap(), "+OK\r\n");
    stream
}

#[tokio::test]
async fn a_killed_redis_comes_back_empty_on_its_port() {
    let redis = PrivateRedis::start().await.unwrap();
    let mut stream = login(&redis).await;
    assert_eq!(ask(&mut stream, "SET a 1\r\n").await.unwrap(), "+OK\r\n");

    redis.kill9().await.unwrap();
    assert!(!redis.is_running());
    assert!(
        TcpStream::connect(("127.0.0.1", redis.port()))
            .await
            .is_err()
    );

    redis.restart().await.unwrap();
    let mut stream = login(&redis).await;
    assert_eq!(ask(&mut stream, "GET a\r\n").await.unwrap(), "$-1\r\n");
}

#[tokio::test]
async fn a_frozen_redis_is_silent_and_answers_when_thawed() {
    let redis = PrivateRedis::start().await.unwrap();
    let mut stream = login(&redis).await;
    redis.freeze();
    assert!(
        timeout(SILENCE, ask(&mut stream, "PING\r\n"))
            .await
            .is_err()
    );
    redis.thaw();
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

#[tokio::test]
async fn a_dropped_server_leaves_nothing_listening() {
    let redis = PrivateRedis::start_with(&[("maxmemory", "10mb")])
        .await
        .unwrap();
    let port = redis.port();
    drop(redis);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
