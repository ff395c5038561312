//! Postgres goes away, hangs, or comes back.

use crate::support::{Fixture, config, draft, own_workspace, registration};
use mainstay_domain::{CorrelationId, Email, User};
use mainstay_encryption::{Keyring, Vault};
use mainstay_persistence::{Config, Database, DbError, OpenCall};
use mainstay_resilience::{Clock, Deadline, SharedClock, system_clock};
use mainstay_testkit::{postgres::PrivatePostgres, proxy::BreakableProxy};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_secs(20);

fn hasty(url: &str) -> Config {
    Config {
        statement_timeout_ms: 1_500,
        acquire_timeout_ms: 800,
        connect_timeout_ms: 800,
        breaker_open_ms: 200,
        ..config(url)
    }
}

fn database(config: Config) -> (Database, SharedClock) {
    let clock = system_clock();
    let vault = Vault::new(Keyring::generate().unwrap());
    let db = Database::new(config, clock.clone(), vault).unwrap();
    (db, clock)
}

async fn register(db: &Database, clock: &SharedClock, email: &str) -> Result<User, DbError> {
    let micros = i64::try_from(clock.unix_time().as_micros()).unwrap();
    let call = OpenCall {
        correlation_id: CorrelationId::at(jiff::Timestamp::from_microsecond(micros).unwrap()),
        deadline: Deadline::never(),
    };
    db.accounts()
        .register(&call, &registration(email, own_workspace()))
        .await
}

async fn look_up(db: &Database, email: &str) -> Result<bool, DbError> {
    let email = Email::parse(email).unwrap();
    let accounts = db.accounts();
    let found = accounts.find_by_email(&email, Deadline::never()).await?;
    Ok(found.is_some())
}

async fn recovers(db: &Database) {
    let answered = async {
        while look_up(db, "nobody@example.org").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, answered).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_and_is_there_once() {
    let postgres = PrivatePostgres::start().await.unwrap();
    let (db, clock) = database(hasty(&postgres.url()));
    db.start().await.unwrap();
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let (db, clock) = (db.clone(), clock.clone());
        let acknowledged = Arc::clone(&acknowledged);
        writers.spawn(async move {
            for n in 0.. {
                let email = format!("w{writer}.{n}@example.org");
                match register(&db, &clock, &email).await {
                    Ok(_) => acknowledged.lock().unwrap().push(email),
                    Err(error) => {
                        assert!(error.is_unavailable(), "{error:?}");
                        return;
                    }
                }
            }
        });
    }
    let enough = async {
        while acknowledged.lock().unwrap().len() < 40 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, enough).await.unwrap();
    postgres.kill9().await.unwrap();
    writers.join_all().await;
    assert!(look_up(&db, "nobody@example.org").await.is_err());

    postgres.restart().await.unwrap();
    recovers(&db).await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    for email in acknowledged {
        assert!(look_up(&db, &email).await.unwrap(), "{email} is lost");
    }
    // Nothing half-done: every person has a key, a workspace and an audit row.
    let client = tokio_postgres_client(&postgres.url()).await;
    let odd = client
        .query_one(
            "SELECT count(*) FROM users u
             WHERE NOT EXISTS (SELECT FROM data_keys k WHERE k.subject_id = u.id)
                OR (SELECT count(*) FROM audit a WHERE a.target_id = u.id) <> 1",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(odd.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_frozen_postgres_holds_nobody_past_the_limit_and_the_breaker_spares_the_rest() {
    let postgres = PrivatePostgres::start().await.unwrap();
    let (db, clock) = database(hasty(&postgres.url()));
    db.start().await.unwrap();
    register(&db, &clock, "ada@example.org").await.unwrap();
    postgres.freeze();
    for _ in 0..6 {
        let began = Instant::now();
        let outcome = look_up(&db, "ada@example.org").await;
        assert!(outcome.unwrap_err().is_unavailable());
        assert!(began.elapsed() < Duration::from_secs(3));
    }
    let began = Instant::now();
    let refused = look_up(&db, "ada@example.org").await.unwrap_err();
    let at_once = began.elapsed() < Duration::from_millis(100);
    assert!(at_once, "the breaker is open: {:?}", began.elapsed());
    assert!(matches!(refused, DbError::Unavailable { .. }));
    assert!(!db.status().reachable);
    postgres.thaw();
    recovers(&db).await;
    assert!(look_up(&db, "ada@example.org").await.unwrap());
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed_and_survived() {
    let postgres = PrivatePostgres::start().await.unwrap();
    let target = SocketAddr::from(([127, 0, 0, 1], postgres.port()));
    let proxy = BreakableProxy::start(target).await.unwrap();
    let direct = format!(":{}/", postgres.port());
    let url = postgres
        .url()
        .replace(&direct, &format!(":{}/", proxy.port()));
    let (db, clock) = database(hasty(&url));
    db.start().await.unwrap();
    register(&db, &clock, "ada@example.org").await.unwrap();
    proxy.pause();
    let began = Instant::now();
    let held = look_up(&db, "ada@example.org").await.unwrap_err();
    assert!(matches!(held, DbError::DeadlineExceeded), "{held:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
    proxy.cut();
    let cut = look_up(&db, "ada@example.org").await.unwrap_err();
    assert!(cut.is_unavailable(), "{cut:?}");
    proxy.restore();
    recovers(&db).await;
    assert!(look_up(&db, "ada@example.org").await.unwrap());
}

#[tokio::test]
async fn it_starts_when_postgres_comes_late_and_keeps_the_minimum_afterwards() {
    let postgres = PrivatePostgres::start().await.unwrap();
    postgres.stop().await.unwrap();
    let (db, _) = database(hasty(&postgres.url()));
    let starting = tokio::spawn({
        let db = db.clone();
        async move { db.start().await }
    });
    let said_why = async {
        while db.status().reason.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, said_why).await.unwrap();
    assert!(!db.is_ready());
    postgres.restart().await.unwrap();
    tokio::time::timeout(SOON, starting)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(db.status().pool.size, 2);

    let maintaining = tokio::spawn({
        let db = db.clone();
        async move { db.maintain().await }
    });
    let client = tokio_postgres_client(&postgres.url()).await;
    client
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mainstay'",
        )
        .await
        .unwrap();
    let refilled = async {
        loop {
            let open = client
                .query_one(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mainstay'",
                    &[],
                )
                .await
                .unwrap();
            if open.get::<_, i64>(0) == 2 && db.status().reachable {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, refilled).await.unwrap();
    db.close();
    maintaining.await.unwrap();
}

#[tokio::test]
async fn a_server_without_free_connections_is_survived_on_those_that_are_open() {
    let postgres = PrivatePostgres::start().await.unwrap();
    let (db, _) = database(hasty(&postgres.url()));
    db.start().await.unwrap();
    let mut greedy = Vec::new();
    while let Ok((client, connection)) =
        tokio_postgres::connect(&postgres.url(), tokio_postgres::NoTls).await
    {
        tokio::spawn(connection);
        greedy.push(client);
    }
    // Two are open; the others cannot be opened, and those calls say so at once.
    let calls = (0..4).map(|_| look_up(&db, "nobody@example.org"));
    let began = Instant::now();
    let outcomes = futures_util::future::join_all(calls).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(answered >= 2, "{outcomes:?}");
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert!(refused.is_unavailable(), "{refused:?}");
    }
    drop(greedy);
    recovers(&db).await;
}

#[tokio::test]
async fn a_lock_that_somebody_holds_is_not_waited_for_forever() {
    let f = Fixture::with(|config| config.lock_timeout_ms = 200).await;
    let ada = f.person("ada@example.org").await;
    let mut other = f.test.connect().await.unwrap();
    let holding = other.transaction().await.unwrap();
    holding
        .batch_execute("LOCK TABLE personas IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let began = Instant::now();
    let held = f.db.personas().create(&ada.call, &draft("Sarah")).await;
    assert!(matches!(held, Err(DbError::DeadlineExceeded)), "{held:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
    holding.rollback().await.unwrap();
    f.db.personas()
        .create(&ada.call, &draft("Sarah"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deadline_that_has_passed_costs_postgres_nothing() {
    let f = Fixture::new().await;
    let mut ada = f.person("ada@example.org").await;
    ada.call.deadline = Deadline::after(&f.clock, Duration::from_secs(1));
    f.clock.advance(Duration::from_secs(1));
    let late = f.db.workspaces().get(&ada.call).await;
    assert!(matches!(late, Err(DbError::DeadlineExceeded)));
    assert_eq!(f.db.status().pool.in_use, 0);
    assert!(f.clock.unix_time() > Duration::ZERO);
}

async fn tokio_postgres_client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}
