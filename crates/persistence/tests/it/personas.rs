use crate::support::{Fixture, draft};
use mainstay_persistence::{DbError, PageRequest};

#[tokio::test]
async fn a_persona_lives_changes_and_is_archived() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let personas = f.db.personas();
    let made = personas.create(&ada.call, &draft("Sarah")).await.unwrap();
    assert_eq!(made.draft, draft("Sarah"));
    assert_eq!(personas.find(&ada.call, made.id).await.unwrap(), made);

    let changed = personas
        .update(&ada.call, made.id, 1, &draft("Sarah Chen"))
        .await
        .unwrap();
    assert_eq!(changed.version, 2);
    let stale = personas
        .update(&ada.call, made.id, 1, &draft("Nobody"))
        .await;
    assert!(matches!(stale, Err(DbError::StaleVersion)));
    assert_eq!(f.count("SELECT count(*) FROM persona_versions").await, 2);

    personas.archive(&ada.call, made.id).await.unwrap();
    let gone = personas.find(&ada.call, made.id).await;
    assert!(matches!(gone, Err(DbError::NotFound)));
    // The name is free again.
    personas
        .create(&ada.call, &draft("Sarah Chen"))
        .await
        .unwrap();
}

#[tokio::test]
async fn living_personas_have_different_names_within_a_workspace() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let eve = f.person("eve@example.org").await;
    let personas = f.db.personas();
    personas.create(&ada.call, &draft("Sarah")).await.unwrap();
    let twice = personas.create(&ada.call, &draft("Sarah")).await;
    assert!(matches!(twice, Err(DbError::Conflict("name"))));
    let other = personas.create(&eve.call, &draft("Sarah")).await.unwrap();
    let seen = personas.find(&ada.call, other.id).await;
    assert!(matches!(seen, Err(DbError::NotFound)));
    let listed = personas
        .list(&ada.call, PageRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 1);
}
