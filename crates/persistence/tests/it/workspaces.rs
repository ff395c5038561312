use crate::support::Fixture;
use mainstay_domain::{GovernanceLevel, Usd};
use mainstay_persistence::{DbError, WorkspacePatch};

#[tokio::test]
async fn a_workspace_changes_only_from_the_version_that_was_read() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let workspaces = f.db.workspaces();
    let before = workspaces.get(&ada.call).await.unwrap();
    assert_eq!(before.version, 1);
    assert_eq!(before.request_ceiling.to_string(), "1.00");
    let patch = WorkspacePatch {
        governance_level: Some(GovernanceLevel::Strict),
        request_ceiling: Some(Usd::from_nano(5)),
        blocked_terms: Some(vec!["Project X".to_owned()]),
        ..WorkspacePatch::default()
    };
    let after = workspaces.update(&ada.call, 1, &patch).await.unwrap();
    assert_eq!(after.version, 2);
    assert_eq!(after.name, before.name);
    assert_eq!(after.governance_level, GovernanceLevel::Strict);
    assert_eq!(after.blocked_terms, ["project x"]);
    assert_eq!(workspaces.get(&ada.call).await.unwrap(), after);
    let stale = workspaces.update(&ada.call, 1, &patch).await;
    assert!(matches!(stale, Err(DbError::StaleVersion)));
}
