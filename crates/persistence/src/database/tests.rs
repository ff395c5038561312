//! The traps of pooled connections, each closed: what is open is never lent,
//! what is dropped is stopped, what is queued is bounded.
#![allow(
    clippy::disallowed_methods,
    reason = "tests spawn tasks of their own and measure real time"
)]

use super::*;
use crate::{error::Failure, fresh};
use mainstay_encryption::Keyring;
use mainstay_resilience::{Deadline, system_clock};
use mainstay_testkit::database::TestDatabase;
use secrecy::SecretString;
use std::{
    future::Future,
    sync::atomic::AtomicU32,
    task::Poll,
    time::{Duration, Instant},
};

struct Bench {
    db: Database,
    test: TestDatabase,
}

/// An empty database with one table and no migrations: the manager serves at once.
async fn bench(max: usize) -> Bench {
    let test = TestDatabase::create().await.unwrap();
    let client = test.connect().await.unwrap();
    client
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL); INSERT INTO t VALUES (1, 0), (2, 0)")
        .await
        .unwrap();
    let config = Config {
        url: SecretString::from(test.url()),
        min_connections: 1,
        max_connections: max,
        max_waiting: 4,
        acquire_timeout_ms: 2_000,
        ..Config::default()
    };
    let vault = Vault::new(Keyring::generate().unwrap());
    let db = Database::new(config, system_clock(), vault).unwrap();
    db.0.serving.store(true, Ordering::Release);
    Bench { db, test }
}

impl Bench {
    async fn one<T: for<'a> tokio_postgres::types::FromSql<'a> + Send>(
        &self,
        sql: &'static str,
    ) -> T {
        self.db
            .0
            .run(Deadline::never(), |conn| async move {
                Ok(conn.query_one(sql, &[]).await?.try_get::<_, T>(0)?)
            })
            .await
            .unwrap()
    }

    /// Waits until the server shows no session in this state but ours.
    async fn until_none(&self, condition: &str) {
        let client = self.test.connect().await.unwrap();
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND {condition}"
        );
        let none = async {
            while client.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), none)
            .await
            .unwrap();
    }
}

/// A statement of its own has no transaction id before it writes.
const IN_TRANSACTION: &str = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL";

#[tokio::test]
async fn a_dropped_query_is_stopped_on_the_server_and_the_next_borrower_does_not_wait() {
    let bench = bench(1).await;
    let sleeping = bench.db.0.run(Deadline::never(), |conn| async move {
        conn.query("SELECT pg_sleep(30)", &[]).await.map(drop)
    });
    let dropped = tokio::time::timeout(Duration::from_millis(200), sleeping).await;
    assert!(dropped.is_err());
    let began = Instant::now();
    assert_eq!(bench.one::<i32>("SELECT 1").await, 1);
    assert!(began.elapsed() < Duration::from_millis(1_500), "it waited");
    bench.until_none("query LIKE '%pg_sleep%'").await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_at_any_await_is_never_lent_to_the_next() {
    let bench = bench(1).await;
    let done = AtomicU32::new(0);
    for polls in 1.. {
        let mut work = Box::pin(bench.db.0.transaction(
            Isolation::ReadCommitted,
            Deadline::never(),
            |conn| async move {
                conn.execute("UPDATE t SET n = n + 1 WHERE id = 1", &[])
                    .await?;
                conn.query("SELECT n FROM t", &[]).await?;
                conn.savepoint(async {
                    conn.execute("UPDATE t SET n = n + 1 WHERE id = 2", &[])
                        .await
                })
                .await?;
                Ok(())
            },
        ));
        let finished = poll_at_most(&mut work, polls).await;
        drop(work);
        if finished {
            done.fetch_add(1, Ordering::Relaxed);
        }
        assert!(!bench.one::<bool>(IN_TRANSACTION).await, "after {polls}");
        let (one, two): (i32, i32) = (
            bench.one("SELECT n FROM t WHERE id = 1").await,
            bench.one("SELECT n FROM t WHERE id = 2").await,
        );
        assert_eq!(one, two, "half a transaction was committed");
        if finished {
            assert!(polls > 5, "the test must drop at several awaits");
            return;
        }
    }
}

/// Polls until it is ready or was polled `polls` times.
async fn poll_at_most<T>(work: &mut (impl Future<Output = T> + Unpin), mut polls: u32) -> bool {
    std::future::poll_fn(|context| {
        if std::pin::Pin::new(&mut *work).poll(context).is_ready() {
            return Poll::Ready(true);
        }
        polls -= 1;
        if polls == 0 {
            Poll::Ready(false)
        } else {
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn a_begin_that_somebody_left_open_is_not_lent() {
    let bench = bench(1).await;
    let conn = bench.db.0.acquire(Deadline::never()).await.unwrap();
    conn.begin("BEGIN").await.unwrap();
    conn.execute("UPDATE t SET n = 7", &[]).await.unwrap();
    drop(conn);
    assert!(!bench.one::<bool>(IN_TRANSACTION).await);
    assert_eq!(bench.one::<i32>("SELECT n FROM t WHERE id = 1").await, 0);
}

#[tokio::test]
async fn a_commit_after_a_swallowed_failure_is_refused_not_faked() {
    let bench = bench(2).await;
    let outcome = bench
        .db
        .0
        .transaction(
            Isolation::ReadCommitted,
            Deadline::never(),
            |conn| async move {
                conn.execute("UPDATE t SET n = 5 WHERE id = 1", &[]).await?;
                let _ = conn.execute("INSERT INTO t VALUES (1, 1)", &[]).await;
                Ok(())
            },
        )
        .await;
    assert!(outcome.is_err());
    assert_eq!(bench.one::<i32>("SELECT n FROM t WHERE id = 1").await, 0);
}

#[tokio::test]
async fn a_failed_savepoint_is_undone_alone() {
    let bench = bench(2).await;
    let outcome = bench
        .db
        .0
        .transaction(
            Isolation::ReadCommitted,
            Deadline::never(),
            |conn| async move {
                conn.execute("UPDATE t SET n = 5 WHERE id = 1", &[]).await?;
                let step = conn
                    .savepoint(async {
                        conn.execute("UPDATE t SET n = 9 WHERE id = 2", &[]).await?;
                        conn.execute("INSERT INTO t VALUES (1, 1)", &[]).await
                    })
                    .await;
                assert!(step.is_err());
                Ok(())
            },
        )
        .await;
    outcome.unwrap();
    assert_eq!(bench.one::<i32>("SELECT n FROM t WHERE id = 1").await, 5);
    assert_eq!(bench.one::<i32>("SELECT n FROM t WHERE id = 2").await, 0);
}

#[tokio::test]
async fn write_skew_is_retried_until_it_is_serial() {
    let bench = bench(4).await;
    let tries = AtomicU32::new(0);
    // Each reads both rows and writes one: without retries one of them fails.
    let skew = |mine: i32| {
        let tries = &tries;
        bench
            .db
            .0
            .transaction(Isolation::Serializable, Deadline::never(), move |conn| {
                tries.fetch_add(1, Ordering::Relaxed);
                async move {
                    let sum = conn.query_one("SELECT sum(n)::int FROM t", &[]).await?;
                    let sum: i32 = sum.try_get(0)?;
                    conn.query("SELECT pg_sleep(0.05)", &[]).await?;
                    conn.execute("UPDATE t SET n = $2 + 1 WHERE id = $1", &[&mine, &sum])
                        .await?;
                    Ok(())
                }
            })
    };
    let (one, two) = tokio::join!(skew(1), skew(2));
    one.unwrap();
    two.unwrap();
    assert!(tries.load(Ordering::Relaxed) >= 3);
    // One after the other: 1 and 2, in some order.
    assert_eq!(bench.one::<i32>("SELECT sum(n)::int FROM t").await, 3);
}

#[tokio::test]
async fn a_deadlock_is_retried() {
    let bench = bench(4).await;
    let cross = |first: i32, second: i32| {
        bench.db.0.transaction(
            Isolation::ReadCommitted,
            Deadline::never(),
            move |conn| async move {
                const ADD: &str = "UPDATE t SET n = n + 1 WHERE id = $1";
                conn.execute(ADD, &[&first]).await?;
                conn.query("SELECT pg_sleep(0.1)", &[]).await?;
                conn.execute(ADD, &[&second]).await?;
                Ok(())
            },
        )
    };
    let (one, two) = tokio::join!(cross(1, 2), cross(2, 1));
    one.unwrap();
    two.unwrap();
    assert_eq!(bench.one::<i32>("SELECT sum(n)::int FROM t").await, 4);
}

#[tokio::test]
async fn the_queue_is_bounded_in_length_and_time_and_the_maximum_holds() {
    let bench = bench(2).await;
    let hold = || {
        bench.db.0.run(Deadline::never(), |conn| async move {
            conn.query("SELECT pg_sleep(3)", &[]).await.map(drop)
        })
    };
    let holding = async { tokio::join!(hold(), hold()) };
    let crowd = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        let mut outcomes = Vec::new();
        let mut crowd = futures_util::stream::FuturesUnordered::new();
        for _ in 0..8 {
            crowd.push(async {
                let outcome = bench
                    .db
                    .0
                    .run(Deadline::never(), |conn| async move {
                        conn.query("SELECT 1", &[]).await.map(drop)
                    })
                    .await;
                (outcome, began.elapsed())
            });
        }
        while let Some(outcome) = futures_util::StreamExt::next(&mut crowd).await {
            outcomes.push(outcome);
        }
        outcomes
    };
    let sampled = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let client = bench.test.connect().await.unwrap();
        client
            .query_one(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mainstay'",
                &[],
            )
            .await
            .unwrap()
            .get::<_, i64>(0)
    };
    let (_, outcomes, open) = tokio::join!(holding, crowd, sampled);
    assert_eq!(open, 2);
    let at_once = outcomes.iter().filter(|(outcome, after)| {
        matches!(outcome, Err(crate::DbError::Overloaded { .. }))
            && *after < Duration::from_millis(200)
    });
    assert_eq!(at_once.count(), 4, "four may wait, four are refused");
    assert!(
        outcomes
            .iter()
            .all(|(outcome, after)| outcome.is_err() && *after < Duration::from_secs(3))
    );
    assert_eq!(bench.db.status().pool.waiting, 0);
    // Overload is not an outage: the breaker stays closed.
    assert_eq!(bench.db.breaker().state, State::Closed);
}

#[tokio::test]
async fn a_connection_kept_beyond_its_operation_refuses_to_work() {
    let bench = bench(2).await;
    let kept = bench
        .db
        .0
        .run(Deadline::never(), |conn| async move { Ok(conn) })
        .await
        .unwrap();
    let outcome = kept.query("SELECT 1", &[]).await;
    assert!(matches!(outcome, Err(Failure::Db(_))));
}

#[tokio::test]
async fn a_caller_that_gives_up_gets_its_statement_cancelled() {
    let bench = bench(1).await;
    let deadline = Deadline::after(&*system_clock(), Duration::from_millis(150));
    let outcome = bench
        .db
        .0
        .run(deadline, |conn| async move {
            conn.query("SELECT pg_sleep(30)", &[]).await.map(drop)
        })
        .await;
    assert!(matches!(outcome, Err(crate::DbError::DeadlineExceeded)));
    bench.until_none("query LIKE '%pg_sleep%'").await;
}

#[tokio::test]
async fn statements_work_without_names_behind_a_transaction_pooler() {
    let bench = bench(2).await;
    let mut config = bench.db.0.config.clone();
    config.pgbouncer = true;
    let vault = Vault::new(Keyring::generate().unwrap());
    let db = Database::new(config, system_clock(), vault).unwrap();
    db.0.serving.store(true, Ordering::Release);
    let id = fresh::id(Timestamp::UNIX_EPOCH);
    let echoed =
        db.0.run(Deadline::never(), |conn| async move {
            let named = conn
                .query_one("SELECT count(*) FROM pg_prepared_statements", &[])
                .await?;
            assert_eq!(named.try_get::<_, i64>(0)?, 0);
            let params: &[&dyn Param] = &[&id, &None::<String>, &vec![1_i64, 2], &1.5_f32];
            let row = conn.query_one("SELECT $1, $2, $3, $4", params).await?;
            Ok(row.try_get::<_, uuid::Uuid>(0)?)
        })
        .await
        .unwrap();
    assert_eq!(echoed, id);
}
