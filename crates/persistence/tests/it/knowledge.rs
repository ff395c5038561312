use crate::support::{Fixture, Person};
use mainstay_domain::{KnowledgeDocument, Name};
use mainstay_persistence::{DbError, NewDocument, PageRequest};

fn text(title: &str, content: &str) -> NewDocument {
    NewDocument {
        title: Name::parse(title).unwrap(),
        source: Some("docs/page.md".to_owned()),
        content: content.to_owned(),
    }
}

async fn add(f: &Fixture, who: &Person, title: &str, content: &str) -> KnowledgeDocument {
    let new = text(title, content);
    f.db.knowledge().add(&who.call, &new).await.unwrap()
}

async fn search(f: &Fixture, who: &Person, question: &str) -> Vec<String> {
    let found = f.db.knowledge().search(&who.call, question, 5).await;
    found.unwrap().into_iter().map(|p| p.title).collect()
}

#[tokio::test]
async fn the_passage_that_answers_best_comes_first() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let breaker = "The circuit breaker opens after five failures and closes again after a probe.";
    add(&f, &ada, "Resilience", breaker).await;
    let cache = "The warm cache lives on disk. A breaker guards it.";
    add(&f, &ada, "Cache", cache).await;
    let tea = "Water boils at one hundred degrees.";
    add(&f, &ada, "Tea", tea).await;
    assert_eq!(
        search(&f, &ada, "When does the circuit breaker open?").await,
        ["Resilience"]
    );
    assert_eq!(
        search(&f, &ada, "breaker").await.len(),
        2,
        "both mention it"
    );
    // Most of the words are enough, one of five is chance.
    let most = "does the circuit breaker open on failures of my dentist?";
    assert_eq!(search(&f, &ada, most).await, ["Resilience"]);
    let chance = "why did my dentist drink boiled coffee yesterday evening";
    assert!(search(&f, &ada, chance).await.is_empty());
}

#[tokio::test]
async fn odd_questions_find_nothing_and_break_nothing() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    add(&f, &ada, "Quotes", "It's a 'quoted' \\ word & more | less.").await;
    for odd in [
        "",
        "   ",
        "the of and",
        "' \\ & | ! ( ) <-> :*",
        "\u{1F600}",
    ] {
        assert!(search(&f, &ada, odd).await.is_empty(), "{odd:?}");
    }
    assert_eq!(search(&f, &ada, "'quoted' & word").await, ["Quotes"]);
}

#[tokio::test]
async fn a_rewritten_document_is_found_by_its_new_words_only() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let made = add(&f, &ada, "Birds", "Canaries sing.").await;
    let knowledge = f.db.knowledge();
    let new = text("Birds", "Ravens croak.");
    let changed = knowledge.update(&ada.call, made.id, 1, &new).await.unwrap();
    assert_eq!(changed.version, 2);
    assert!(search(&f, &ada, "canaries").await.is_empty());
    assert_eq!(search(&f, &ada, "ravens").await, ["Birds"]);
    let stale = knowledge.update(&ada.call, made.id, 1, &new).await;
    assert!(matches!(stale, Err(DbError::StaleVersion)));
    assert_eq!(knowledge.find(&ada.call, made.id).await.unwrap(), changed);
    knowledge.delete(&ada.call, made.id).await.unwrap();
    assert!(search(&f, &ada, "ravens").await.is_empty());
    let gone = knowledge.delete(&ada.call, made.id).await;
    assert!(matches!(gone, Err(DbError::NotFound)));
}

#[tokio::test]
async fn knowledge_stays_in_its_workspace() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let eve = f.person("eve@example.org").await;
    let made = add(&f, &ada, "Birds", "Canaries sing.").await;
    assert!(search(&f, &eve, "canaries").await.is_empty());
    let found = f.db.knowledge().find(&eve.call, made.id).await;
    assert!(matches!(found, Err(DbError::NotFound)));
    let page = PageRequest::default();
    let listed = f.db.knowledge().list(&eve.call, page).await.unwrap();
    assert!(listed.items.is_empty());
    let listed = f.db.knowledge().list(&ada.call, page).await.unwrap();
    assert_eq!(listed.items[0].characters, 14);
}
