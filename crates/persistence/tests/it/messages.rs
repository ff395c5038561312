use crate::support::{Fixture, Person, draft};
use mainstay_domain::{
    ConversationId, Decision, DecisionId, Hook, Message, MessageId, MessageRole, MessageStatus,
    Provenance, RunId, Tokens, UsageId, Usd, Verdict,
};
use mainstay_persistence::{
    AuditFilter, BeginRun, Begun, DbError, FinishRun, NewConversation, PageRequest,
};
use mainstay_resilience::Deadline;
use std::time::Duration;
use uuid::Uuid;

const INSTANCE: Uuid = Uuid::from_u128(77);

async fn conversation(f: &Fixture, person: &Person) -> ConversationId {
    let new = NewConversation::default();
    let made = f.db.conversations().create(&person.call, &new).await;
    made.unwrap().id
}

fn question(f: &Fixture, conversation_id: ConversationId, content: &str) -> BeginRun {
    f.clock.advance(Duration::from_millis(5));
    BeginRun {
        conversation_id,
        message_id: MessageId::at(f.now()),
        run_id: RunId::at(f.now()),
        usage_id: UsageId::at(f.now()),
        instance_id: INSTANCE,
        content: content.to_owned(),
        persona_ids: Vec::new(),
        model: Some("scripted-1".to_owned()),
        reserved: Usd::from_nano(1_000),
        context_limit: 20,
    }
}

fn end(run: &BeginRun, content: &str) -> FinishRun {
    FinishRun {
        message_id: run.message_id,
        usage_id: run.usage_id,
        status: MessageStatus::Complete,
        content: content.to_owned(),
        provenance: Some(Provenance::Model),
        persona_ids: Vec::new(),
        model: Some("scripted-1".to_owned()),
        citations: Vec::new(),
        usage: Tokens {
            input: 10,
            output: 5,
            cached: 2,
        },
        cost_usd: Some(Usd::from_nano(400)),
        decisions: Vec::new(),
        degraded: false,
        elapsed: Duration::from_millis(12),
    }
}

async fn ask(f: &Fixture, person: &Person, run: &BeginRun) -> Begun {
    f.db.messages().begin(&person.call, run).await.unwrap()
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|m| m.content.as_str()).collect()
}

#[tokio::test]
async fn a_question_and_its_answer_are_kept_with_everything_about_them() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let chat = conversation(&f, &ada).await;
    let run = question(&f, chat, "What is a canary?");
    let begun = ask(&f, &ada, &run).await;
    assert!(begun.context.is_empty());
    assert_eq!(begun.answer.status, MessageStatus::Streaming);
    assert!(begun.question.id < begun.answer.id);

    let decision = Decision {
        id: DecisionId::at(f.now()),
        hook: Hook::Before,
        verdict: Verdict::Warn,
        rule_id: "injection.score".to_owned(),
        reason: "It looks like an instruction.".to_owned(),
    };
    let finish = FinishRun {
        decisions: vec![decision.clone()],
        ..end(&run, "A small canary bird.")
    };
    f.db.messages().finish(&ada.call, &finish).await.unwrap();

    let page = PageRequest::default();
    let listed = f.db.messages().list(&ada.call, chat, page).await.unwrap();
    assert_eq!(
        texts(&listed.items),
        ["What is a canary?", "A small canary bird."]
    );
    let answer = &listed.items[1];
    assert_eq!(answer.role, MessageRole::Assistant);
    assert_eq!(answer.status, MessageStatus::Complete);
    assert_eq!(answer.decisions, [decision]);
    assert_eq!(answer.usage.cached, 2);
    assert_eq!(answer.cost_usd, Some(Usd::from_nano(400)));
    assert_eq!(answer.run_id, Some(run.run_id));
    let found = f.db.messages().find(&ada.call, run.message_id).await;
    assert_eq!(&found.unwrap(), answer);
    // begun as returned equals begun as stored
    assert_eq!(listed.items[0], begun.question);

    let settled = "SELECT count(*) FROM usage WHERE status = 'settled' AND cost_nano = 400";
    assert_eq!(f.count(settled).await, 1);
    assert!(!f.dump().await.contains("canary"));
}

#[tokio::test]
async fn the_context_is_what_was_said_before() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let chat = conversation(&f, &ada).await;
    for n in 0..3 {
        let run = question(&f, chat, &format!("question {n}"));
        ask(&f, &ada, &run).await;
        let answer = end(&run, &format!("answer {n}"));
        f.db.messages().finish(&ada.call, &answer).await.unwrap();
    }
    let run = BeginRun {
        context_limit: 3,
        ..question(&f, chat, "and now?")
    };
    let begun = ask(&f, &ada, &run).await;
    assert_eq!(
        texts(&begun.context),
        ["answer 1", "question 2", "answer 2"]
    );
}

#[tokio::test]
async fn somebody_elses_conversation_cannot_be_asked_or_read() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let eve = f.member(&ada, "eve@example.org").await;
    let chat = conversation(&f, &ada).await;
    let run = question(&f, chat, "mine");
    let messages = f.db.messages();
    let asked = messages.begin(&eve.call, &run).await;
    assert!(matches!(asked, Err(DbError::NotFound)));
    assert_eq!(f.count("SELECT count(*) FROM usage").await, 0);
    ask(&f, &ada, &run).await;
    let listed = messages.list(&eve.call, chat, PageRequest::default()).await;
    assert!(matches!(listed, Err(DbError::NotFound)));
    let finished = messages.finish(&eve.call, &end(&run, "hers")).await;
    assert!(matches!(finished, Err(DbError::Conflict("finished"))));
    let read = messages.find(&eve.call, run.message_id).await;
    assert!(matches!(read, Err(DbError::NotFound)));
}

#[tokio::test]
async fn a_run_ends_once_and_costs_once() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let chat = conversation(&f, &ada).await;
    let run = question(&f, chat, "once");
    ask(&f, &ada, &run).await;
    let (first, second) = (end(&run, "first"), end(&run, "second"));
    let messages = f.db.messages();
    let (one, two) = tokio::join!(
        messages.finish(&ada.call, &first),
        messages.finish(&ada.call, &second)
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let filter = AuditFilter {
        action: Some("run.finished".to_owned()),
        ..AuditFilter::default()
    };
    let audit = f.db.audit();
    let rows = audit.list(&ada.call, PageRequest::default(), &filter).await;
    assert_eq!(rows.unwrap().items.len(), 1);
}

#[tokio::test]
async fn what_a_dead_server_left_is_interrupted_with_its_text_and_charged() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let chat = conversation(&f, &ada).await;
    let instances = f.db.instances();
    instances.beat(INSTANCE, Deadline::never()).await.unwrap();
    let run = question(&f, chat, "go on");
    ask(&f, &ada, &run).await;
    let messages = f.db.messages();
    messages
        .checkpoint(&ada.call, run.message_id, "half an ans")
        .await
        .unwrap();
    let silence = Duration::from_secs(30);
    let sweep = async || {
        instances
            .interrupt_orphans(silence, Deadline::never())
            .await
            .unwrap()
    };
    f.clock.advance(silence / 2);
    assert_eq!(sweep().await, 0);
    f.clock.advance(silence);
    assert_eq!(sweep().await, 1);
    assert_eq!(sweep().await, 0);
    let message = messages.find(&ada.call, run.message_id).await.unwrap();
    assert_eq!(message.status, MessageStatus::Interrupted);
    assert_eq!(message.content, "half an ans");
    let charged = "SELECT count(*) FROM usage WHERE status = 'released' AND cost_nano = 1000";
    assert_eq!(f.count(charged).await, 1);
    let late = messages.finish(&ada.call, &end(&run, "too late")).await;
    assert!(matches!(late, Err(DbError::Conflict("finished"))));
    let late = messages.checkpoint(&ada.call, run.message_id, "x").await;
    assert!(matches!(late, Err(DbError::NotFound)));
}

#[tokio::test]
async fn a_text_moved_to_another_message_does_not_open() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let chat = conversation(&f, &ada).await;
    let run = question(&f, chat, "where?");
    let begun = ask(&f, &ada, &run).await;
    let client = f.test.connect().await.unwrap();
    client
        .execute(
            "UPDATE messages SET content_sealed = (SELECT content_sealed FROM messages WHERE id = $1) WHERE id = $2",
            &[&begun.question.id.uuid(), &run.message_id.uuid()],
        )
        .await
        .unwrap();
    let read = f.db.messages().find(&ada.call, run.message_id).await;
    assert!(matches!(read, Err(DbError::Corrupt(_))), "{read:?}");
}

#[tokio::test]
async fn a_deleted_conversation_takes_its_messages_along() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    f.db.personas()
        .create(&ada.call, &draft("Sarah"))
        .await
        .unwrap();
    let chat = conversation(&f, &ada).await;
    ask(&f, &ada, &question(&f, chat, "gone soon")).await;
    f.db.conversations().delete(&ada.call, chat).await.unwrap();
    assert_eq!(f.count("SELECT count(*) FROM messages").await, 0);
}
