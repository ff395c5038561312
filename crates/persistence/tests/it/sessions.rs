use crate::support::{Fixture, Person};
use mainstay_domain::{SessionId, UserStatus};
use mainstay_persistence::{DbError, NewSession, Rotation};
use mainstay_resilience::Deadline;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

async fn log_in(f: &Fixture, person: &Person, token: u8) -> SessionId {
    let new = NewSession {
        user_id: person.user.id,
        workspace_id: person.user.workspace_id,
        refresh_hash: [token; 32],
        expires_at: f.now() + HOUR,
    };
    f.db.sessions().open(&f.open_call(), &new).await.unwrap()
}

async fn rotate(f: &Fixture, old: u8, new: u8) -> Rotation {
    let until = f.now() + HOUR;
    f.db.sessions()
        .rotate(&f.open_call(), &[old; 32], &[new; 32], until)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let session = log_in(&f, &ada, 1).await;
    for token in 1..4 {
        let rotated = Rotation::Rotated {
            user: Box::new(ada.user.clone()),
            session_id: session,
        };
        assert_eq!(rotate(&f, token, token + 1).await, rotated);
    }
    assert_eq!(rotate(&f, 9, 10).await, Rotation::Unknown);
}

#[tokio::test]
async fn a_token_used_twice_ends_its_whole_family() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let stolen = log_in(&f, &ada, 1).await;
    let other = log_in(&f, &ada, 20).await;
    rotate(&f, 1, 2).await;
    assert_eq!(rotate(&f, 1, 3).await, Rotation::Reused);
    // The thief's or the victim's newest token is dead as well.
    assert_eq!(rotate(&f, 2, 4).await, Rotation::Ended);
    let left = f.db.sessions().list(&ada.call).await.unwrap();
    assert_eq!(left.iter().map(|s| s.id).collect::<Vec<_>>(), [other]);
    let revoked =
        f.db.sessions()
            .revoked_since(f.now(), Deadline::never())
            .await
            .unwrap();
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].session_id, stolen);
    assert_eq!(revoked[0].user_id, ada.user.id);
}

#[tokio::test]
async fn of_simultaneous_uses_of_one_token_one_succeeds() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    log_in(&f, &ada, 1).await;
    let (one, two) = tokio::join!(rotate(&f, 1, 2), rotate(&f, 1, 3));
    let won = |r: &Rotation| matches!(r, Rotation::Rotated { .. });
    assert!(won(&one) != won(&two), "{one:?} {two:?}");
}

#[tokio::test]
async fn an_ended_session_or_a_locked_account_refreshes_nothing() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    log_in(&f, &ada, 1).await;
    log_in(&f, &grace, 2).await;
    f.db.accounts()
        .set_status(&ada.call, grace.user.id, UserStatus::Disabled)
        .await
        .unwrap();
    assert_eq!(rotate(&f, 2, 5).await, Rotation::Ended);
    f.clock.advance(HOUR);
    assert_eq!(rotate(&f, 1, 6).await, Rotation::Ended);
}

#[tokio::test]
async fn one_ends_only_ones_own_sessions() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    let session = log_in(&f, &ada, 1).await;
    let sessions = f.db.sessions();
    let refused = sessions.revoke(&grace.call, session).await;
    assert!(matches!(refused, Err(DbError::NotFound)));
    sessions.revoke(&ada.call, session).await.unwrap();
    let again = sessions.revoke(&ada.call, session).await;
    assert!(matches!(again, Err(DbError::NotFound)));
    log_in(&f, &ada, 2).await;
    log_in(&f, &ada, 3).await;
    assert_eq!(sessions.revoke_all(&ada.call).await.unwrap(), 2);
}
