//! Erasure, export, retention and rotation.

use crate::support::{Fixture, Person, draft, vault};
use mainstay_domain::{
    AgentKind, Answer, ExecutionId, MessageId, Name, Provenance, RunId, Tokens, UsageId, Usd,
};
use mainstay_encryption::Keyring;
use mainstay_persistence::{
    BeginExecution, BeginRun, Claim, DbError, FinishExecution, NewAgent, NewConversation,
    NewSession, PageRequest, RetentionPolicy, StoredResponse, classes::TABLES,
};
use mainstay_resilience::Deadline;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

const NEVER: Deadline = Deadline::never();
const DAY: Duration = Duration::from_secs(86_400);

/// Leaves something in every table that knows people.
async fn leave_traces(f: &Fixture, who: &Person) -> MessageId {
    let db = &f.db;
    let chat = NewConversation {
        title: Some(Name::parse("canary title").unwrap()),
        persona_id: None,
    };
    let chat = db.conversations().create(&who.call, &chat).await.unwrap();
    f.clock.advance(Duration::from_millis(5));
    let run = BeginRun {
        conversation_id: chat.id,
        message_id: MessageId::at(f.now()),
        run_id: RunId::at(f.now()),
        usage_id: UsageId::at(f.now()),
        instance_id: Uuid::from_u128(1),
        content: "canary question".to_owned(),
        persona_ids: Vec::new(),
        model: None,
        reserved: Usd::from_nano(10),
        context_limit: 0,
    };
    db.messages().begin(&who.call, &run).await.unwrap();
    let begun = BeginExecution {
        id: ExecutionId::at(f.now()),
        usage_id: UsageId::at(f.now()),
        cache_key: [1; 32],
        persona_id: None,
        model: None,
        reserved: Usd::ZERO,
        instance_id: Uuid::from_u128(1),
    };
    db.executions().begin(&who.call, &begun).await.unwrap();
    let finish = FinishExecution {
        id: begun.id,
        usage_id: begun.usage_id,
        answer: answer(begun.id, "canary answer"),
        reusable_for: Some(DAY),
    };
    db.executions().finish(&who.call, &finish).await.unwrap();
    let agent = NewAgent {
        name: Name::parse("Reviewer").unwrap(),
        kind: AgentKind(Name::parse("reviewer").unwrap()),
        persona_id: None,
    };
    db.agents().create(&who.call, &agent).await.unwrap();
    db.personas()
        .create(&who.call, &draft(&format!("by {}", who.user.id)))
        .await
        .unwrap();
    let session = NewSession {
        user_id: who.user.id,
        workspace_id: who.user.workspace_id,
        refresh_hash: who.user.id.uuid().as_bytes().repeat(2).try_into().unwrap(),
        expires_at: f.now() + DAY,
    };
    db.sessions().open(&f.open_call(), &session).await.unwrap();
    let Claim::Claimed(claim) = db
        .idempotency()
        .claim(&who.call, "k", &[1; 32])
        .await
        .unwrap()
    else {
        panic!("not claimed")
    };
    let response = StoredResponse {
        status: 200,
        content_type: "application/json".to_owned(),
        body: b"\"canary body\"".to_vec(),
    };
    db.idempotency()
        .complete(&who.call, claim, &response, DAY)
        .await
        .unwrap();
    run.message_id
}

fn answer(id: ExecutionId, text: &str) -> Answer {
    Answer {
        id: id.uuid(),
        answer: text.to_owned(),
        provenance: Provenance::Model,
        citations: Vec::new(),
        persona_ids: Vec::new(),
        model: None,
        usage: Tokens::default(),
        cost_usd: None,
        decisions: Vec::new(),
        degraded: false,
        elapsed_ms: 1,
    }
}

async fn export(f: &Fixture, who: &Person) -> BTreeMap<&'static str, Vec<Value>> {
    let mut rows: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    f.db.exports()
        .export(&who.call, who.user.id, |table, row| {
            rows.entry(table).or_default().push(row);
        })
        .await
        .unwrap();
    rows
}

#[tokio::test]
async fn an_export_is_complete_and_readable() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    leave_traces(&f, &ada).await;
    leave_traces(&f, &grace).await;
    f.member(&ada, "guest@example.org").await;
    f.db.erasure()
        .place_hold(&ada.call, ada.user.id)
        .await
        .unwrap();
    let rows = export(&f, &ada).await;
    let text = serde_json::to_string(&rows).unwrap();
    for mine in [
        "ada@example.org",
        "Ada Canary-Lovelace",
        "canary title",
        "canary question",
        "canary answer",
        "canary body",
    ] {
        assert!(text.contains(mine), "{mine}");
    }
    assert!(!text.contains("grace@example.org"));
    assert!(!text.contains("argon2id"), "no digests");
    // Every table that names a person was read, and found something but for
    // tombstones and decisions, of which there are none.
    let found: BTreeSet<&str> = rows.keys().copied().collect();
    let named = TABLES.iter().filter(|table| table.subject.is_some());
    let named: BTreeSet<&str> = named.map(|table| table.name).collect();
    let none = BTreeSet::from(["decisions", "erasures"]);
    assert_eq!(found, named.difference(&none).copied().collect());
    assert_eq!(rows["messages"].len(), 2);
}

#[tokio::test]
async fn an_erased_person_is_gone_and_history_still_stands() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    leave_traces(&f, &grace).await;
    let kept = leave_traces(&f, &ada).await;
    let audit = f.count("SELECT count(*) FROM audit").await;
    f.db.erasure()
        .erase(&ada.call, grace.user.id)
        .await
        .unwrap();
    // Nothing that was hers is left under her id, but for pseudonymous records.
    let id = grace.user.id.to_string();
    for table in TABLES {
        let Some(subject) = table.subject else {
            continue;
        };
        let sql = format!(
            "SELECT count(*) FROM {} WHERE {subject} = '{id}'",
            table.name
        );
        let left = f.count(&sql).await;
        let pseudonymous = ["audit", "usage", "erasures", "persona_versions"];
        assert_eq!(left > 0, pseudonymous.contains(&table.name), "{sql}");
    }
    let now = f.count("SELECT count(*) FROM audit").await;
    assert_eq!(now, audit + 1, "one row more and none fewer");
    let found = f.db.accounts().find(&ada.call, grace.user.id).await;
    assert!(matches!(found, Err(DbError::NotFound)));
    // Others keep what is theirs.
    let message = f.db.messages().find(&ada.call, kept).await;
    assert!(message.is_ok());
    // Every instance hears of it: by the event, and by the poll for sessions.
    let revoked = f.db.sessions().revoked_since(f.now(), NEVER).await.unwrap();
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].user_id, grace.user.id);
    let events = f.db.outbox().claim(1_000, NEVER).await.unwrap();
    assert!(events.iter().any(|event| event.kind == "user.erased"));
    // The address may register again.
    f.person("grace@example.org").await;
}

#[tokio::test]
async fn a_hold_and_the_last_administrator_stand_in_the_way() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    let erasure = f.db.erasure();
    let alone = erasure.erase(&ada.call, ada.user.id).await;
    assert!(matches!(
        alone,
        Err(DbError::Conflict("last_administrator"))
    ));
    erasure.place_hold(&ada.call, grace.user.id).await.unwrap();
    let held = erasure.erase(&ada.call, grace.user.id).await;
    assert!(matches!(held, Err(DbError::Conflict("legal_hold"))));
    erasure.lift_hold(&ada.call, grace.user.id).await.unwrap();
    erasure.erase(&ada.call, grace.user.id).await.unwrap();
    let twice = erasure.erase(&ada.call, grace.user.id).await;
    assert!(matches!(twice, Err(DbError::NotFound)));
    let eve = f.person("eve@example.org").await;
    let foreign = erasure.erase(&eve.call, ada.user.id).await;
    assert!(matches!(foreign, Err(DbError::NotFound)));
    // Nobody is left behind, so the last one may go.
    erasure.erase(&ada.call, ada.user.id).await.unwrap();
}

#[tokio::test]
async fn whom_a_backup_brings_back_is_erased_again() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    // A restored backup with the newer tombstones put beside it.
    let client = f.test.connect().await.unwrap();
    client
        .execute(
            "INSERT INTO erasures (workspace_id, subject_id, sessions, erased_at, correlation_id)
             VALUES ($1, $2, '{}', now(), $1)",
            &[&grace.user.workspace_id.uuid(), &grace.user.id.uuid()],
        )
        .await
        .unwrap();
    let erasure = f.db.erasure();
    assert_eq!(erasure.replay(NEVER).await.unwrap(), 1);
    assert_eq!(erasure.replay(NEVER).await.unwrap(), 0);
    let page = PageRequest::default();
    let left = f.db.accounts().list(&ada.call, page).await.unwrap();
    assert_eq!(left.items, [ada.user]);
}

#[tokio::test]
async fn retention_shows_then_deletes_what_is_past_its_policy() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    leave_traces(&f, &ada).await;
    leave_traces(&f, &grace).await;
    f.db.erasure()
        .place_hold(&ada.call, grace.user.id)
        .await
        .unwrap();
    let policy = RetentionPolicy {
        conversation_days: 10,
        execution_days: 10,
        session_days: 10,
        ..RetentionPolicy::default()
    };
    let retention = f.db.retention();
    let sweep = async |dry: bool| {
        let reports = retention.sweep(&policy, 100, dry, NEVER).await.unwrap();
        let by = |of: fn(&mainstay_persistence::RetentionReport) -> u64| {
            let rows = reports.iter().map(|r| (r.table, of(r)));
            rows.filter(|(_, n)| *n > 0).collect::<BTreeMap<_, _>>()
        };
        let oldest = reports.iter().map(|r| r.oldest_past_policy).max();
        (by(|r| r.due), by(|r| r.deleted), oldest.unwrap())
    };
    assert_eq!(sweep(true).await.0, BTreeMap::new());
    f.clock.advance(15 * DAY);
    let (due, deleted, oldest) = sweep(true).await;
    let expected = BTreeMap::from([
        ("conversations", 1),
        ("executions", 1),
        ("invitations", 1),
        ("sessions", 1),
    ]);
    assert_eq!(due, expected);
    assert!(deleted.is_empty());
    assert!(oldest >= 4 * DAY, "{oldest:?}");
    let (_, deleted, _) = sweep(false).await;
    assert_eq!(deleted, expected);
    let (due, _, oldest) = sweep(false).await;
    assert!(due.is_empty());
    assert_eq!(oldest, Duration::ZERO);
    // What is under a hold is all there, and so is the agent's conversation.
    let hers = format!(
        "SELECT count(*) FROM messages WHERE owner_id = '{}'",
        grace.user.id
    );
    assert_eq!(f.count(&hers).await, 2);
    let audited = "SELECT count(*) FROM audit WHERE action = 'retention.deleted'";
    assert_eq!(f.count(audited).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_top_key_rotates_under_load_without_a_failed_request() {
    let f = Fixture::new().await;
    let mut people = Vec::new();
    for n in 0..20 {
        people.push(f.person(&format!("p{n}@example.org")).await);
    }
    let mut keyring = Keyring::from_text(&SecretString::from(f.keyring.expose_secret())).unwrap();
    keyring.rotate().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU32::new(0));
    let mut readers = tokio::task::JoinSet::new();
    for person in &people[..4] {
        // Its own instance each time, so that no key is at hand unwrapped.
        let (call, user) = (person.call, person.user.clone());
        let (done, asked) = (Arc::clone(&done), Arc::clone(&asked));
        let db = f.another();
        db.start().await.unwrap();
        db.key_rotation()
            .use_keyring(Keyring::from_text(&keyring.to_text()).unwrap());
        readers.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                db.erasure().forget(user.workspace_id, user.id);
                let found = db.accounts().find(&call, user.id).await.unwrap();
                assert_eq!(found.email, user.email);
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let rotation = f.db.key_rotation();
    rotation.use_keyring(Keyring::from_text(&keyring.to_text()).unwrap());
    assert_eq!(rotation.remaining(NEVER).await.unwrap(), 20);
    while rotation.rewrap(3, NEVER).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rotation.remaining(NEVER).await.unwrap(), 0);
    let enough = async {
        while asked.load(Ordering::Relaxed) < 40 && !readers.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), enough)
        .await
        .unwrap();
    done.store(true, Ordering::Relaxed);
    readers.join_all().await;
    // The former key is not needed any more.
    keyring.retire(1).unwrap();
    let later = f.another();
    later.key_rotation().use_keyring(keyring);
    later.start().await.unwrap();
    for person in &people {
        let found = later.accounts().find(&person.call, person.user.id).await;
        assert_eq!(found.unwrap(), person.user);
    }
    // Whoever has only the former key opens nothing.
    let former = mainstay_persistence::Database::new(
        crate::support::config(f.test.url()),
        f.clock.shared(),
        vault(&f.keyring),
    )
    .unwrap();
    former.start().await.unwrap();
    let refused = former
        .accounts()
        .find(&people[0].call, people[0].user.id)
        .await;
    assert!(matches!(refused, Err(DbError::Internal { .. })));
}
