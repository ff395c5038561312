use crate::support::{Fixture, draft};
use mainstay_domain::{Decision, DecisionId, Hook, Verdict};
use mainstay_persistence::{AuditFilter, PageRequest};
use uuid::Uuid;

#[tokio::test]
async fn rows_can_be_added_and_never_changed() {
    let f = Fixture::new().await;
    f.person("ada@example.org").await;
    let client = f.test.connect().await.unwrap();
    for forbidden in [
        "UPDATE audit SET action = 'user.nothing'",
        "DELETE FROM audit",
        "TRUNCATE audit",
    ] {
        let refused = client.batch_execute(forbidden).await.unwrap_err();
        let reason = refused.as_db_error().unwrap().message();
        assert!(reason.contains("append-only"), "{forbidden}: {reason}");
    }
    assert_eq!(f.count("SELECT count(*) FROM audit").await, 1);
}

#[tokio::test]
async fn the_log_is_filtered_and_stays_in_its_workspace() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let eve = f.person("eve@example.org").await;
    let persona = f.db.personas().create(&ada.call, &draft("Sarah")).await;
    let persona = persona.unwrap();
    let list = async |call, filter: &AuditFilter| {
        let page = PageRequest::default();
        f.db.audit().list(call, page, filter).await.unwrap().items
    };
    let filter = AuditFilter {
        target_id: Some(persona.id.uuid()),
        ..AuditFilter::default()
    };
    let rows = list(&ada.call, &filter).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].action, "persona.created");
    assert_eq!(rows[0].actor_id, Some(ada.user.id));
    assert_eq!(rows[0].correlation_id, ada.call.caller.correlation_id);
    assert!(list(&eve.call, &filter).await.is_empty());
    let all = AuditFilter::default();
    assert_eq!(list(&ada.call, &all).await.len(), 2);
}

#[tokio::test]
async fn a_change_that_is_undone_leaves_no_row() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let personas = f.db.personas();
    personas.create(&ada.call, &draft("Sarah")).await.unwrap();
    let before = f.count("SELECT count(*) FROM audit").await;
    personas
        .create(&ada.call, &draft("Sarah"))
        .await
        .unwrap_err();
    assert_eq!(f.count("SELECT count(*) FROM audit").await, before);
}

#[tokio::test]
async fn a_denied_question_is_logged_with_its_reasons() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let decision = Decision {
        id: DecisionId::at(f.now()),
        hook: Hook::Before,
        verdict: Verdict::Deny,
        rule_id: "blocked_terms".to_owned(),
        reason: "It contains a blocked term.".to_owned(),
    };
    let source = Uuid::from_u128(5);
    let decisions = f.db.decisions();
    decisions
        .record_denied(&ada.call, source, std::slice::from_ref(&decision))
        .await
        .unwrap();
    let page = PageRequest::default();
    let logged = decisions.list(&ada.call, page, Some(source)).await.unwrap();
    assert_eq!(logged.items[0].decision, decision);
    let other = decisions.list(&ada.call, page, Some(Uuid::nil())).await;
    assert!(other.unwrap().items.is_empty());
    let audited = "SELECT count(*) FROM audit WHERE action = 'question.denied'";
    assert_eq!(f.count(audited).await, 1);
}
