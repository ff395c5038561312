use crate::support::{Fixture, Person};
use mainstay_domain::{Answer, ExecutionId, Provenance, Tokens, UsageId, Usd};
use mainstay_persistence::{BeginExecution, DbError, FinishExecution};
use std::time::Duration;
use uuid::Uuid;

const MINUTE: Duration = Duration::from_secs(60);

fn begin(f: &Fixture, key: u8) -> BeginExecution {
    f.clock.advance(Duration::from_millis(2));
    BeginExecution {
        id: ExecutionId::at(f.now()),
        usage_id: UsageId::at(f.now()),
        cache_key: [key; 32],
        persona_id: None,
        model: Some("scripted-1".to_owned()),
        reserved: Usd::from_nano(500),
        instance_id: Uuid::from_u128(1),
    }
}

fn answer(begun: &BeginExecution, text: &str) -> FinishExecution {
    FinishExecution {
        id: begun.id,
        usage_id: begun.usage_id,
        answer: Answer {
            id: begun.id.uuid(),
            answer: text.to_owned(),
            provenance: Provenance::Model,
            citations: Vec::new(),
            persona_ids: Vec::new(),
            model: Some("scripted-1".to_owned()),
            usage: Tokens {
                input: 3,
                output: 4,
                cached: 0,
            },
            cost_usd: Some(Usd::from_nano(70)),
            decisions: Vec::new(),
            degraded: false,
            elapsed_ms: 9,
        },
        reusable_for: Some(MINUTE),
    }
}

async fn execute(f: &Fixture, who: &Person, key: u8, text: &str) -> FinishExecution {
    let begun = begin(f, key);
    let executions = f.db.executions();
    executions.begin(&who.call, &begun).await.unwrap();
    let finish = answer(&begun, text);
    executions.finish(&who.call, &finish).await.unwrap();
    finish
}

#[tokio::test]
async fn the_same_key_finds_the_freshest_answer_until_it_is_stale() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let executions = f.db.executions();
    let none = executions.find_exact(&ada.call, &[1; 32]).await.unwrap();
    assert!(none.is_none());
    execute(&f, &ada, 1, "old").await;
    let newest = execute(&f, &ada, 1, "a canary's new song").await;
    let found = executions.find_exact(&ada.call, &[1; 32]).await.unwrap();
    assert_eq!(found.unwrap().answer, newest.answer);
    let other = executions.find_exact(&ada.call, &[2; 32]).await.unwrap();
    assert!(other.is_none());
    f.clock.advance(MINUTE);
    let stale = executions.find_exact(&ada.call, &[1; 32]).await.unwrap();
    assert!(stale.is_none());
    let plan_b = executions.find_stale(&ada.call, &[1; 32]).await.unwrap();
    assert_eq!(plan_b.unwrap().answer, newest.answer);
    assert!(!f.dump().await.contains("canary"));
}

#[tokio::test]
async fn another_workspace_never_finds_it_but_a_sharing_member_does() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    let eve = f.person("eve@example.org").await;
    let given = execute(&f, &ada, 1, "ours").await;
    let executions = f.db.executions();
    let hers = executions.find_exact(&eve.call, &[1; 32]).await.unwrap();
    assert!(hers.is_none());
    let stale = executions.find_stale(&eve.call, &[1; 32]).await.unwrap();
    assert!(stale.is_none());
    // Who shares a key is decided by what goes into it.
    let shared = executions.find_exact(&grace.call, &[1; 32]).await.unwrap();
    assert_eq!(shared.unwrap().answer, given.answer);
}

#[tokio::test]
async fn an_answer_that_may_not_be_reused_is_not_found() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let begun = begin(&f, 1);
    let executions = f.db.executions();
    executions.begin(&ada.call, &begun).await.unwrap();
    let finish = FinishExecution {
        reusable_for: None,
        ..answer(&begun, "only now")
    };
    executions.finish(&ada.call, &finish).await.unwrap();
    let found = executions.find_stale(&ada.call, &[1; 32]).await.unwrap();
    assert!(found.is_none());
}

#[tokio::test]
async fn it_ends_once_one_way_or_the_other() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let begun = begin(&f, 1);
    let executions = f.db.executions();
    executions.begin(&ada.call, &begun).await.unwrap();
    let twice = executions.begin(&ada.call, &begun).await;
    assert!(matches!(twice, Err(DbError::Conflict("id"))));
    let reserved = "SELECT count(*) FROM usage WHERE status = 'reserved' AND reserved_nano = 500";
    assert_eq!(f.count(reserved).await, 1);
    executions
        .fail(&ada.call, begun.id, begun.usage_id, "upstream", None)
        .await
        .unwrap();
    let late = executions.finish(&ada.call, &answer(&begun, "late")).await;
    assert!(matches!(late, Err(DbError::Conflict("finished"))));
    assert_eq!(f.count(reserved).await, 0);
    let released = "SELECT count(*) FROM usage WHERE status = 'released'";
    assert_eq!(f.count(released).await, 1);
}
