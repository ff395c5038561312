//! The second wall: what the server itself refuses to show.

use crate::support::{Fixture, draft};

const WALLED: &str = "
SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname = 'workspace_id'
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity)";

#[tokio::test]
async fn every_table_of_a_workspace_has_the_wall() {
    let f = Fixture::new().await;
    assert_eq!(f.count(WALLED).await, 0);
}

#[tokio::test]
async fn a_session_sees_its_workspace_and_nothing_when_it_names_none() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let eve = f.person("eve@example.org").await;
    f.db.personas()
        .create(&ada.call, &draft("Sarah"))
        .await
        .unwrap();
    let client = f.test.connect().await.unwrap();
    client.batch_execute("SET ROLE mainstay_app").await.unwrap();
    // A query that forgot its workspace.
    let personas = async || {
        let row = client.query_one("SELECT count(*) FROM personas", &[]).await;
        row.unwrap().get::<_, i64>(0)
    };
    let enter = async |workspace: String| {
        client
            .execute(
                "SELECT set_config('mainstay.workspace', $1, false)",
                &[&workspace],
            )
            .await
            .unwrap();
    };
    assert_eq!(personas().await, 0);
    enter(ada.user.workspace_id.to_string()).await;
    assert_eq!(personas().await, 1);
    enter(eve.user.workspace_id.to_string()).await;
    assert_eq!(personas().await, 0);
    let smuggled = client
        .execute(
            "INSERT INTO outbox (workspace_id, topic, kind, payload, correlation_id, created_at)
             VALUES ($1, 't', 'k', '{}', $1, now())",
            &[&ada.user.workspace_id.uuid()],
        )
        .await
        .unwrap_err();
    assert!(smuggled.to_string().contains("db error"));
    assert_eq!(smuggled.code().unwrap().code(), "42501");
    enter(String::new()).await;
    assert_eq!(personas().await, 0);
    enter("*".to_owned()).await;
    assert_eq!(personas().await, 1);
}

#[tokio::test]
async fn the_scope_of_one_borrower_is_not_the_next_ones() {
    let f = Fixture::with(|config| {
        config.min_connections = 1;
        config.max_connections = 1;
    })
    .await;
    let ada = f.person("ada@example.org").await;
    let eve = f.person("eve@example.org").await;
    for _ in 0..3 {
        let hers = f.db.workspaces().get(&eve.call).await.unwrap();
        assert_eq!(hers.id, eve.user.workspace_id);
        let his = f.db.workspaces().get(&ada.call).await.unwrap();
        assert_eq!(his.id, ada.user.workspace_id);
    }
}
