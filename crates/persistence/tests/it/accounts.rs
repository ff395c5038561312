use crate::support::{Fixture, own_workspace, registration};
use mainstay_domain::{Email, Name, Role, UserStatus};
use mainstay_persistence::{DbError, Joining, NewInvitation, NewSession, PageRequest};
use mainstay_resilience::Deadline;
use std::time::Duration;

#[tokio::test]
async fn who_registers_with_an_own_workspace_administers_it() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    assert_eq!(ada.user.role, Role::Administrator);
    let found = f.db.accounts().find(&ada.call, ada.user.id).await.unwrap();
    assert_eq!(found, ada.user);
    assert_eq!(found.full_name.unwrap().as_str(), "Ada Canary-Lovelace");
}

#[tokio::test]
async fn an_address_has_one_account_in_the_deployment() {
    let f = Fixture::new().await;
    f.person("ada@example.org").await;
    let again = registration("ADA@example.org", own_workspace());
    let refused = f.db.accounts().register(&f.open_call(), &again).await;
    assert!(matches!(refused, Err(DbError::Conflict("email"))));
    // The refused registration left no workspace behind.
    assert_eq!(f.count("SELECT count(*) FROM workspaces").await, 1);
}

#[tokio::test]
async fn credentials_are_found_by_address() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let accounts = f.db.accounts();
    let email = Email::parse("Ada@Example.org").unwrap();
    let found = accounts
        .find_by_email(&email, Deadline::never())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.user, ada.user);
    assert_eq!(found.password_hash, "$argon2id$stored");
    let nobody = Email::parse("nobody@example.org").unwrap();
    let none = accounts.find_by_email(&nobody, Deadline::never()).await;
    assert!(none.unwrap().is_none());
}

#[tokio::test]
async fn an_invitation_is_good_once_and_in_time() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let invite = |byte: u8| NewInvitation {
        token_hash: [byte; 32],
        role: Role::Operator,
        expires_at: f.now() + Duration::from_secs(60),
    };
    let workspaces = f.db.workspaces();
    workspaces.invite(&ada.call, &invite(1)).await.unwrap();
    workspaces.invite(&ada.call, &invite(2)).await.unwrap();
    let join = async |email: &str, byte: u8| {
        let joining = Joining::Invitation {
            token_hash: [byte; 32],
        };
        let new = registration(email, joining);
        f.db.accounts().register(&f.open_call(), &new).await
    };
    let grace = join("grace@example.org", 1).await.unwrap();
    assert_eq!(grace.role, Role::Operator);
    assert_eq!(grace.workspace_id, ada.user.workspace_id);
    let used = join("alan@example.org", 1).await;
    assert!(matches!(used, Err(DbError::Conflict("invitation"))));
    f.clock.advance(Duration::from_secs(61));
    let lapsed = join("alan@example.org", 2).await;
    assert!(matches!(lapsed, Err(DbError::Conflict("invitation"))));
}

#[tokio::test]
async fn people_of_other_workspaces_do_not_exist() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let eve = f.person("eve@example.org").await;
    let accounts = f.db.accounts();
    let found = accounts.find(&eve.call, ada.user.id).await;
    assert!(matches!(found, Err(DbError::NotFound)));
    let changed = accounts
        .set_role(&eve.call, ada.user.id, Role::Administrator)
        .await;
    assert!(matches!(changed, Err(DbError::NotFound)));
    let listed = accounts
        .list(&eve.call, PageRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.items, [eve.user]);
}

#[tokio::test]
async fn a_list_goes_on_where_the_page_ended() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let mut all = vec![ada.user.id];
    for n in 0..4 {
        f.clock.advance(Duration::from_millis(2));
        all.push(f.member(&ada, &format!("m{n}@example.org")).await.user.id);
    }
    let mut seen = Vec::new();
    let mut page = PageRequest {
        limit: 2,
        after: None,
    };
    loop {
        let part = f.db.accounts().list(&ada.call, page).await.unwrap();
        assert!(part.items.len() <= 2);
        seen.extend(part.items.iter().map(|user| user.id));
        match part.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn the_last_administrator_stays_one() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    let accounts = f.db.accounts();
    let id = ada.user.id;
    let demoted = accounts.set_role(&ada.call, id, Role::Member).await;
    assert!(matches!(
        demoted,
        Err(DbError::Conflict("last_administrator"))
    ));
    let locked = accounts
        .set_status(&ada.call, id, UserStatus::Disabled)
        .await;
    assert!(matches!(
        locked,
        Err(DbError::Conflict("last_administrator"))
    ));
    let role = Role::Administrator;
    accounts
        .set_role(&ada.call, grace.user.id, role)
        .await
        .unwrap();
    let demoted = accounts.set_role(&ada.call, id, Role::Member).await;
    assert_eq!(demoted.unwrap().role, Role::Member);
}

#[tokio::test]
async fn two_administrators_cannot_demote_each_other_at_once() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    let accounts = f.db.accounts();
    let (a, g) = (ada.user.id, grace.user.id);
    accounts
        .set_role(&ada.call, g, Role::Administrator)
        .await
        .unwrap();
    let (one, two) = tokio::join!(
        accounts.set_role(&ada.call, g, Role::Member),
        accounts.set_role(&grace.call, a, Role::Member),
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}

#[tokio::test]
async fn a_new_password_or_role_ends_sessions() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    let sessions = f.db.sessions();
    let open = async |byte: u8| {
        let new = NewSession {
            user_id: grace.user.id,
            workspace_id: grace.user.workspace_id,
            refresh_hash: [byte; 32],
            expires_at: f.now() + Duration::from_secs(3600),
        };
        sessions.open(&f.open_call(), &new).await.unwrap()
    };
    let kept = open(1).await;
    open(2).await;
    let accounts = f.db.accounts();
    accounts
        .set_password(&grace.call, "$argon2id$new", Some(kept))
        .await
        .unwrap();
    let left = sessions.list(&grace.call).await.unwrap();
    assert_eq!(left.iter().map(|s| s.id).collect::<Vec<_>>(), [kept]);
    accounts
        .set_role(&ada.call, grace.user.id, Role::Operator)
        .await
        .unwrap();
    assert!(sessions.list(&grace.call).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_profile_changes_and_is_sealed_again() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let name = Name::parse("Augusta Canary").unwrap();
    let changed = f.db.accounts().update_profile(&ada.call, Some(&name)).await;
    assert_eq!(changed.unwrap().full_name, Some(name));
    let dump = f.dump().await;
    assert!(!dump.contains("Canary"));
    assert!(!dump.contains("ada@example.org"));
    // bytea is printed in hex
    assert!(!dump.contains(&hex("Canary")));
    assert!(!dump.contains(&hex("ada@example.org")));
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
