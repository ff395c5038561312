//! Starting: phases, migrations, refusals.

use crate::support::{Fixture, config, held_clock};
use mainstay_domain::Email;
use mainstay_encryption::{Keyring, Vault};
use mainstay_persistence::{Database, DbError, Phase, SchemaError, StartError};
use mainstay_resilience::Deadline;
use mainstay_testkit::database::TestDatabase;
use std::time::Duration;

fn database(url: &str) -> Database {
    let vault = Vault::new(Keyring::generate().unwrap());
    Database::new(config(url), held_clock().shared(), vault).unwrap()
}

#[tokio::test]
async fn ten_servers_on_an_empty_database_migrate_it_once() {
    let test = TestDatabase::create().await.unwrap();
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let db = database(test.url());
        starting.spawn(async move {
            db.start().await.unwrap();
            db
        });
    }
    let servers = starting.join_all().await;
    assert!(servers.iter().all(Database::is_ready));
    let client = test.connect().await.unwrap();
    let applied = client
        .query_one(
            "SELECT count(*), count(DISTINCT version) FROM refinery_schema_history",
            &[],
        )
        .await
        .unwrap();
    let (rows, versions): (i64, i64) = (applied.get(0), applied.get(1));
    assert_eq!(rows, versions);
    assert!(rows >= 5);
}

#[tokio::test]
async fn before_it_is_ready_it_says_in_which_phase_it_is() {
    let test = TestDatabase::create().await.unwrap();
    let db = database(test.url());
    let email = Email::parse("ada@example.org").unwrap();
    let early = db.accounts().find_by_email(&email, Deadline::never()).await;
    assert!(matches!(
        early,
        Err(DbError::Starting {
            phase: "connecting"
        })
    ));
    assert!(!db.status().ready);
    db.start().await.unwrap();
    let status = db.status();
    assert!(status.ready && status.reachable);
    assert_eq!((status.phase, status.index), (Phase::Ready, status.of));
    assert_eq!(status.pool.size, 2);
    let found = db.accounts().find_by_email(&email, Deadline::never()).await;
    assert!(found.unwrap().is_none());
}

#[tokio::test]
async fn a_plan_shows_what_would_be_applied_and_changes_nothing() {
    let test = TestDatabase::create().await.unwrap();
    let db = database(test.url());
    let plan = db.migration_plan().await.unwrap().unwrap();
    assert_eq!(plan[0].version, 1);
    assert_eq!(plan[0].name, "workspaces_and_people");
    let again = db.migration_plan().await.unwrap().unwrap();
    assert_eq!(again, plan);
    db.start().await.unwrap();
    assert!(db.migration_plan().await.unwrap().unwrap().is_empty());
}

#[tokio::test]
async fn an_altered_migration_is_refused() {
    let f = Fixture::new().await;
    let client = f.test.connect().await.unwrap();
    client
        .batch_execute("UPDATE refinery_schema_history SET checksum = '1' WHERE version = 2")
        .await
        .unwrap();
    let refused = f.another().start().await;
    assert!(matches!(
        refused,
        Err(StartError::Schema(SchemaError::Divergent { version: 2 }))
    ));
}

#[tokio::test]
async fn a_newer_schema_is_served_unless_it_says_no() {
    let f = Fixture::new().await;
    let client = f.test.connect().await.unwrap();
    client
        .batch_execute(
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
             VALUES (9999, 'from_the_future', '2030-01-01T00:00:00Z', '1')",
        )
        .await
        .unwrap();
    f.another().start().await.unwrap();
    client
        .batch_execute("UPDATE schema_requirement SET oldest_version = 9999")
        .await
        .unwrap();
    let refused = f.another().start().await;
    assert!(matches!(
        refused,
        Err(StartError::Schema(SchemaError::TooNew {
            schema: 9999,
            required: 9999,
            ..
        }))
    ));
}

#[tokio::test]
async fn a_busy_lock_is_waited_for_with_a_reason() {
    let test = TestDatabase::create().await.unwrap();
    let other = test.connect().await.unwrap();
    let key: i64 = 0x6d61_696e_7374_6179;
    other
        .query_one("SELECT pg_advisory_lock($1)", &[&key])
        .await
        .unwrap();
    let mut patient = config(test.url());
    patient.migration_lock_timeout_s = 1;
    let vault = Vault::new(Keyring::generate().unwrap());
    let clock = mainstay_resilience::system_clock();
    let db = Database::new(patient, clock, vault).unwrap();
    let starting = tokio::spawn({
        let db = db.clone();
        async move { db.start().await }
    });
    let said_why = async {
        while db.status().reason.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), said_why)
        .await
        .unwrap();
    let reason = db.status().reason.unwrap();
    assert!(reason.contains("migration lock"), "{reason}");
    drop(other);
    tokio::time::timeout(Duration::from_secs(20), starting)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(db.status().reason, None);
}

#[tokio::test]
async fn a_table_that_somebody_locks_delays_migrating_and_a_refused_migration_ends_it() {
    let test = TestDatabase::create().await.unwrap();
    let url = format!("{}&options=-c%20lock_timeout%3D300ms", test.url());
    let other = test.connect().await.unwrap();
    // Somebody made a table of ours before us.
    other
        .batch_execute("CREATE TABLE workspaces (id int)")
        .await
        .unwrap();
    let refused = database(&url).start().await;
    let Err(StartError::Schema(SchemaError::Failed { reason })) = refused else {
        panic!("{refused:?}")
    };
    assert!(reason.contains("already exists"), "{reason}");
    // The failed migration left nothing, and the next start goes through.
    other
        .batch_execute("DROP TABLE workspaces; BEGIN; LOCK TABLE refinery_schema_history")
        .await
        .unwrap();
    let db = database(&url);
    let starting = tokio::spawn({
        let db = db.clone();
        async move { db.start().await }
    });
    let said_why = async {
        while db.status().reason.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), said_why)
        .await
        .unwrap();
    let reason = db.status().reason.unwrap();
    assert!(reason.contains("lock timeout"), "{reason}");
    other.batch_execute("COMMIT").await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), starting)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_wrong_address_or_setting_is_explained() {
    let vault = || Vault::new(Keyring::generate().unwrap());
    let clock = held_clock().shared();
    for (url, said) in [
        ("", "database.url: is missing"),
        ("postgres//nonsense:secret", "database.url: is not a URL"),
    ] {
        let refused = Database::new(config(url), clock.clone(), vault()).unwrap_err();
        assert!(refused.to_string().contains(said), "{refused}");
        assert!(!refused.to_string().contains("secret"));
    }
    let mut small = config("postgres://localhost/x");
    small.max_connections = 1;
    let refused = Database::new(small, clock, vault()).unwrap_err();
    assert!(refused.to_string().contains("max_connections"));
}
