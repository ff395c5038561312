use crate::support::Fixture;
use mainstay_persistence::{Claim, ClaimId, DbError, StoredResponse};
use mainstay_resilience::Deadline;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn response() -> StoredResponse {
    StoredResponse {
        status: 201,
        content_type: "application/json".to_owned(),
        body: br#"{"canary":true}"#.to_vec(),
    }
}

fn claimed(claim: Claim) -> ClaimId {
    match claim {
        Claim::Claimed(id) => id,
        other => panic!("not claimed: {other:?}"),
    }
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_ones_response() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let eve = f.member(&ada, "eve@example.org").await;
    let keys = f.db.idempotency();
    let first = claimed(keys.claim(&ada.call, "k", &[1; 32]).await.unwrap());
    let busy = keys.claim(&ada.call, "k", &[1; 32]).await.unwrap();
    assert_eq!(busy, Claim::InFlight);
    keys.complete(&ada.call, first, &response(), DAY)
        .await
        .unwrap();
    let again = keys.claim(&ada.call, "k", &[1; 32]).await.unwrap();
    assert_eq!(again, Claim::Replay(response()));
    let changed = keys.claim(&ada.call, "k", &[2; 32]).await.unwrap();
    assert_eq!(changed, Claim::Mismatch);
    // Somebody else's key of the same name is another key.
    claimed(keys.claim(&eve.call, "k", &[2; 32]).await.unwrap());
    let hex: String = b"canary".iter().map(|b| format!("{b:02x}")).collect();
    assert!(!f.dump().await.contains(&hex));
    f.clock.advance(DAY);
    claimed(keys.claim(&ada.call, "k", &[2; 32]).await.unwrap());
}

#[tokio::test]
async fn an_abandoned_claim_is_taken_over_and_its_holder_comes_too_late() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let keys = f.db.idempotency();
    let lost = claimed(keys.claim(&ada.call, "k", &[1; 32]).await.unwrap());
    f.clock.advance(Duration::from_secs(121));
    let taken = claimed(keys.claim(&ada.call, "k", &[1; 32]).await.unwrap());
    let late = keys.complete(&ada.call, lost, &response(), DAY).await;
    assert!(matches!(late, Err(DbError::Conflict("claim"))));
    keys.release(&ada.call, taken).await.unwrap();
    claimed(keys.claim(&ada.call, "k", &[3; 32]).await.unwrap());
}

#[tokio::test]
async fn of_simultaneous_claims_one_wins() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let mut claiming = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (keys, call) = (f.db.idempotency(), ada.call);
        claiming.spawn(async move { keys.claim(&call, "k", &[1; 32]).await.unwrap() });
    }
    let claims = claiming.join_all().await;
    let won = claims.iter().filter(|c| matches!(c, Claim::Claimed(_)));
    assert_eq!(won.count(), 1);
    let busy = claims.iter().filter(|c| **c == Claim::InFlight);
    assert_eq!(busy.count(), 9);
}

#[tokio::test]
async fn lapsed_keys_are_swept() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let keys = f.db.idempotency();
    keys.claim(&ada.call, "a", &[1; 32]).await.unwrap();
    assert_eq!(keys.sweep(Deadline::never()).await.unwrap(), 0);
    f.clock.advance(Duration::from_secs(121));
    assert_eq!(keys.sweep(Deadline::never()).await.unwrap(), 1);
}
