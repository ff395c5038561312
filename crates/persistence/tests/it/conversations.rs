use crate::support::{Fixture, draft};
use mainstay_domain::Name;
use mainstay_persistence::{ConversationPatch, DbError, NewConversation, PageRequest};
use std::time::Duration;

fn titled(title: &str) -> NewConversation {
    NewConversation {
        title: Some(Name::parse(title).unwrap()),
        persona_id: None,
    }
}

#[tokio::test]
async fn a_conversation_is_its_owners_alone() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    let conversations = f.db.conversations();
    let made = conversations
        .create(&ada.call, &titled("Canary plans"))
        .await
        .unwrap();
    assert_eq!(conversations.find(&ada.call, made.id).await.unwrap(), made);
    // Even a member of the same workspace, even its administrator's.
    let patch = ConversationPatch::default();
    let found = conversations.find(&grace.call, made.id).await;
    assert!(matches!(found, Err(DbError::NotFound)));
    let changed = conversations
        .update(&grace.call, made.id, None, &patch)
        .await;
    assert!(matches!(changed, Err(DbError::NotFound)));
    let deleted = conversations.delete(&grace.call, made.id).await;
    assert!(matches!(deleted, Err(DbError::NotFound)));
    let page = PageRequest::default();
    let listed = conversations.list(&grace.call, page).await.unwrap();
    assert!(listed.items.is_empty());
    assert!(!f.dump().await.contains("Canary"));
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let persona = f.db.personas().create(&ada.call, &draft("Sarah")).await;
    let persona = persona.unwrap().id;
    let conversations = f.db.conversations();
    let made = conversations
        .create(&ada.call, &titled("One"))
        .await
        .unwrap();
    let patch = ConversationPatch {
        title: None,
        persona_id: Some(Some(persona)),
    };
    let changed = conversations
        .update(&ada.call, made.id, Some(1), &patch)
        .await
        .unwrap();
    assert_eq!(changed.title.as_deref(), Some("One"));
    assert_eq!(changed.persona_id, Some(persona));
    let stale = conversations
        .update(&ada.call, made.id, Some(1), &patch)
        .await;
    assert!(matches!(stale, Err(DbError::StaleVersion)));
    let untitled = ConversationPatch {
        title: Some(None),
        persona_id: None,
    };
    let changed = conversations.update(&ada.call, made.id, None, &untitled);
    assert_eq!(changed.await.unwrap().title, None);
}

#[tokio::test]
async fn a_persona_of_another_workspace_cannot_answer() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let eve = f.person("eve@example.org").await;
    let hers = f.db.personas().create(&eve.call, &draft("Sarah")).await;
    let new = NewConversation {
        title: None,
        persona_id: Some(hers.unwrap().id),
    };
    let refused = f.db.conversations().create(&ada.call, &new).await;
    assert!(matches!(refused, Err(DbError::NotFound)));
}

#[tokio::test]
async fn newest_come_first_and_deleted_ones_are_gone() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let conversations = f.db.conversations();
    let mut ids = Vec::new();
    for n in 0..3 {
        f.clock.advance(Duration::from_millis(2));
        let new = titled(&format!("number {n}"));
        ids.push(conversations.create(&ada.call, &new).await.unwrap().id);
    }
    conversations.delete(&ada.call, ids[1]).await.unwrap();
    let page = PageRequest {
        limit: 1,
        after: None,
    };
    let first = conversations.list(&ada.call, page).await.unwrap();
    assert_eq!(first.items[0].id, ids[2]);
    let page = PageRequest {
        limit: 1,
        after: first.next,
    };
    let second = conversations.list(&ada.call, page).await.unwrap();
    assert_eq!(second.items[0].id, ids[0]);
    assert_eq!(second.next, None);
}
