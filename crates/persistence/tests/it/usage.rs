use crate::support::Fixture;
use mainstay_domain::{CorrelationId, ExecutionId, Provenance, UsageId, WorkspaceId};
use mainstay_persistence::{CacheHit, UsageGroup};
use mainstay_resilience::Deadline;
use std::time::Duration;

#[tokio::test]
async fn a_batch_of_cache_hits_counts_once_however_often_it_is_written() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let hit = |model: &str, provenance| CacheHit {
        usage_id: UsageId::at(f.now()),
        workspace_id: ada.user.workspace_id,
        user_id: ada.user.id,
        source_id: ExecutionId::at(f.now()).uuid(),
        persona_id: None,
        model: Some(model.to_owned()),
        provenance,
        elapsed_ms: 1,
        correlation_id: CorrelationId::at(f.now()),
        at: f.now(),
    };
    let mut hits = vec![
        hit("a", Provenance::CacheHot),
        hit("a", Provenance::CacheWarm),
        hit("b", Provenance::CacheShared),
    ];
    let usage = f.db.usage();
    let never = Deadline::never();
    assert_eq!(usage.record_batch(&hits, never).await.unwrap(), 3);
    // The next batch repeats one whose outcome was unknown, and has a hit of a
    // workspace that is gone.
    hits.truncate(1);
    hits.push(hit("a", Provenance::CacheHot));
    hits.push(CacheHit {
        workspace_id: WorkspaceId::at(f.now()),
        ..hit("a", Provenance::CacheHot)
    });
    assert_eq!(usage.record_batch(&hits, never).await.unwrap(), 1);
    assert_eq!(usage.record_batch(&[], never).await.unwrap(), 0);
    let audited = "SELECT count(*) FROM audit WHERE action = 'execution.from_cache'";
    assert_eq!(f.count(audited).await, 4);

    let (from, to) = (f.now(), f.now() + Duration::from_secs(1));
    let report = async |group| {
        usage
            .report(&ada.call, group, from, to, None)
            .await
            .unwrap()
    };
    let by_model = report(UsageGroup::Model).await;
    assert_eq!(by_model.len(), 2);
    assert_eq!(by_model[0].key.as_deref(), Some("a"));
    assert_eq!((by_model[0].requests, by_model[0].cache_hits), (3, 3));
    let by_day = report(UsageGroup::Day).await;
    assert_eq!(by_day[0].key.as_deref(), Some("2027-01-15"));
    for group in [UsageGroup::User, UsageGroup::Agent, UsageGroup::Persona] {
        assert_eq!(report(group).await[0].requests, 4);
    }
    let eve = f.person("eve@example.org").await;
    let hers = usage.report(&eve.call, UsageGroup::Model, from, to, None);
    assert!(hers.await.unwrap().is_empty());
}
