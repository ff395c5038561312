use crate::support::Fixture;
use mainstay_domain::{AgentAction, AgentKind, AgentState, Name};
use mainstay_persistence::{DbError, NewAgent, PageRequest};

fn new(name: &str) -> NewAgent {
    NewAgent {
        name: Name::parse(name).unwrap(),
        kind: AgentKind(Name::parse("code_assistant").unwrap()),
        persona_id: None,
    }
}

#[tokio::test]
async fn an_agent_is_made_with_its_conversation_and_lives_its_life() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let agents = f.db.agents();
    let made = agents.create(&ada.call, &new("Reviewer")).await.unwrap();
    assert_eq!(made.state, AgentState::Ready);
    let conversations = f.db.conversations();
    let chat = conversations.find(&ada.call, made.conversation_id).await;
    assert_eq!(chat.unwrap().agent_id, Some(made.id));
    let deleted = conversations.delete(&ada.call, made.conversation_id).await;
    assert!(matches!(deleted, Err(DbError::Conflict("agent"))));

    agents.set_busy(&ada.call, made.id).await.unwrap();
    let busy = agents.set_busy(&ada.call, made.id).await;
    assert!(matches!(busy, Err(DbError::Conflict("state"))));
    let pause = AgentAction::Pause;
    let refused = agents
        .transition(&ada.call, made.id, pause, false, None)
        .await;
    assert!(matches!(refused, Err(DbError::Refused(_))));
    let failed = agents.finish(&ada.call, made.id, false).await.unwrap();
    assert_eq!(failed.state, AgentState::Error);
    let reset = AgentAction::Reset;
    let ready = agents
        .transition(&ada.call, made.id, reset, false, Some("again"))
        .await
        .unwrap();
    assert_eq!(ready.state, AgentState::Ready);
    assert_eq!(ready.version, 4);
    let metrics = agents.metrics(&ada.call, made.id).await.unwrap();
    assert_eq!(metrics.requests, 0);
}

#[tokio::test]
async fn an_agent_forced_out_of_its_work_stays_as_it_was_put() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let agents = f.db.agents();
    let id = agents.create(&ada.call, &new("A")).await.unwrap().id;
    agents.set_busy(&ada.call, id).await.unwrap();
    let pause = AgentAction::Pause;
    agents
        .transition(&ada.call, id, pause, true, None)
        .await
        .unwrap();
    let finished = agents.finish(&ada.call, id, true).await.unwrap();
    assert_eq!(finished.state, AgentState::Paused);
}

#[tokio::test]
async fn names_are_unique_among_the_living_and_agents_are_their_owners() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let grace = f.member(&ada, "grace@example.org").await;
    let agents = f.db.agents();
    let id = agents.create(&ada.call, &new("A")).await.unwrap().id;
    let twice = agents.create(&ada.call, &new("A")).await;
    assert!(matches!(twice, Err(DbError::Conflict("name"))));
    agents.create(&grace.call, &new("A")).await.unwrap();
    let hers = agents.find(&grace.call, id).await;
    assert!(matches!(hers, Err(DbError::NotFound)));
    let end = AgentAction::Terminate;
    agents
        .transition(&ada.call, id, end, false, None)
        .await
        .unwrap();
    agents.create(&ada.call, &new("A")).await.unwrap();
    let page = PageRequest::default();
    assert_eq!(agents.list(&ada.call, page).await.unwrap().items.len(), 2);
}
