//! Drift is found, counted and, where that is safe, repaired.

use crate::support::Fixture;
use mainstay_domain::{AgentKind, AgentState, Name};
use mainstay_encryption::Keyring;
use mainstay_persistence::NewAgent;
use mainstay_resilience::Deadline;
use secrecy::{ExposeSecret, SecretString};
use std::{collections::BTreeMap, time::Duration};

const HOUR: Duration = Duration::from_secs(3_600);

async fn check(f: &Fixture, repair: bool) -> BTreeMap<&'static str, (u64, u64)> {
    let drifts = f.db.consistency().check(repair, Deadline::never()).await;
    let drifts = drifts.unwrap().into_iter();
    drifts
        .filter(|drift| drift.found > 0)
        .map(|drift| (drift.kind, (drift.found, drift.repaired)))
        .collect()
}

#[tokio::test]
async fn what_drifted_is_reported_and_what_is_safe_is_repaired() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let agents = f.db.agents();
    let new = NewAgent {
        name: Name::parse("A").unwrap(),
        kind: AgentKind(Name::parse("a").unwrap()),
        persona_id: None,
    };
    let agent = agents.create(&ada.call, &new).await.unwrap();
    agents.set_busy(&ada.call, agent.id).await.unwrap();
    let idempotency = f.db.idempotency();
    idempotency.claim(&ada.call, "k", &[1; 32]).await.unwrap();
    let client = f.test.connect().await.unwrap();
    client
        .execute(
            "INSERT INTO usage (id, workspace_id, user_id, source_id, status, reserved_nano, created_at)
             VALUES ($2, $1, $2, $2, 'reserved', 7, to_timestamp(1800000000))",
            &[&ada.user.workspace_id.uuid(), &ada.user.id.uuid()],
        )
        .await
        .unwrap();
    let young = check(&f, true).await;
    assert!(young.is_empty(), "what is young may be at work: {young:?}");

    f.clock.advance(2 * HOUR);
    let found = check(&f, false).await;
    assert_eq!(found["reservation_without_call"], (1, 0));
    assert_eq!(found["busy_agent_without_run"], (1, 0));
    assert_eq!(found["lapsed_idempotency_key"], (1, 0));
    let repaired = check(&f, true).await;
    assert_eq!(repaired["reservation_without_call"], (1, 1));
    assert_eq!(repaired["busy_agent_without_run"], (1, 1));
    // Nobody published: that is for a person.
    let left = check(&f, true).await;
    let kinds: Vec<_> = left.keys().copied().collect();
    assert_eq!(kinds, ["undelivered_event"]);
    let agent = agents.find(&ada.call, agent.id).await.unwrap();
    assert_eq!(agent.state, AgentState::Error);
    let charged = "SELECT count(*) FROM usage WHERE status = 'released' AND cost_nano = 7";
    assert_eq!(f.count(charged).await, 1);
}

#[tokio::test]
async fn the_maintainer_keeps_house_by_itself() {
    let f = Fixture::with(|config| config.housekeeping_s = 60).await;
    let ada = f.person("ada@example.org").await;
    let idempotency = f.db.idempotency();
    idempotency.claim(&ada.call, "k", &[1; 32]).await.unwrap();
    let text = SecretString::from(f.keyring.expose_secret());
    let mut keyring = Keyring::from_text(&text).unwrap();
    keyring.rotate().unwrap();
    f.db.key_rotation().use_keyring(keyring);
    let maintaining = tokio::spawn({
        let db = f.db.clone();
        async move { db.maintain().await }
    });
    assert_eq!(f.db.housekeeping(), None);
    // Held time moves on in big steps until a round was due.
    let kept = async {
        loop {
            f.clock.advance(HOUR);
            if let Some(kept) = f.db.housekeeping() {
                return kept;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let kept = tokio::time::timeout(Duration::from_secs(20), kept)
        .await
        .unwrap();
    assert_eq!(kept.keys_to_rewrap, 0);
    assert_eq!(
        f.count("SELECT count(*) FROM data_keys WHERE wrapped_by = 2")
            .await,
        1
    );
    assert_eq!(f.count("SELECT count(*) FROM idempotency_keys").await, 0);
    f.db.close();
    maintaining.await.unwrap();
}
