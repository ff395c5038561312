use crate::support::Fixture;
use jiff::Timestamp;
use mainstay_persistence::SigningKeyRecord;
use mainstay_resilience::Deadline;
use std::time::Duration;

fn make(kid: &str, now: Timestamp) -> SigningKeyRecord {
    SigningKeyRecord {
        kid: kid.to_owned(),
        pkcs8: b"canary private key".to_vec().into(),
        created_at: now,
        retires_at: now + Duration::from_secs(100),
        expires_at: now + Duration::from_secs(200),
    }
}

#[tokio::test]
async fn ten_servers_that_start_together_agree_on_one_key() {
    let f = Fixture::new().await;
    let mut starting = tokio::task::JoinSet::new();
    for n in 0..10 {
        let db = f.another();
        starting.spawn(async move {
            db.start().await.unwrap();
            db.signing_keys()
                .load_or_create(|now| make(&format!("key-{n}"), now), Deadline::never())
                .await
                .unwrap()
        });
    }
    let keys = starting.join_all().await;
    assert!(keys.iter().all(|found| found.len() == 1));
    assert!(keys.iter().all(|found| found == &keys[0]));
    assert_eq!(keys[0][0].pkcs8.as_slice(), b"canary private key");
    let canary: String = b"canary".iter().map(|b| format!("{b:02x}")).collect();
    assert!(!f.dump().await.contains(&canary));
}

#[tokio::test]
async fn a_retired_key_still_verifies_until_it_expires() {
    let f = Fixture::new().await;
    let keys = f.db.signing_keys();
    let load = async |kid: &str| {
        let found = keys
            .load_or_create(|now| make(kid, now), Deadline::never())
            .await
            .unwrap();
        found.into_iter().map(|key| key.kid).collect::<Vec<_>>()
    };
    assert_eq!(load("one").await, ["one"]);
    f.clock.advance(Duration::from_secs(100));
    assert_eq!(load("two").await, ["two", "one"]);
    f.clock.advance(Duration::from_secs(100));
    let valid = keys.all_valid(f.now(), Deadline::never()).await.unwrap();
    assert_eq!(valid.len(), 1);
}
