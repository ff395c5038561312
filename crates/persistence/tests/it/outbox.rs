use crate::support::{Fixture, draft};
use mainstay_resilience::Deadline;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

#[tokio::test]
async fn publishers_never_claim_the_same_event() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    for n in 0..40 {
        let persona = draft(&format!("persona {n}"));
        f.db.personas().create(&ada.call, &persona).await.unwrap();
    }
    let mut claiming = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let outbox = f.db.outbox();
        claiming.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let events = outbox.claim(3, Deadline::never()).await.unwrap();
                if events.is_empty() {
                    return mine;
                }
                mine.extend(events.iter().map(|event| event.id));
            }
        });
    }
    let claimed: Vec<i64> = claiming.join_all().await.concat();
    let distinct: HashSet<_> = claimed.iter().collect();
    assert_eq!(claimed.len(), 41, "forty personas and a registration");
    assert_eq!(distinct.len(), 41);
}

#[tokio::test]
async fn what_a_dead_publisher_claimed_comes_again_and_what_was_done_does_not() {
    let f = Fixture::new().await;
    f.person("ada@example.org").await;
    let outbox = f.db.outbox();
    let claim = async || outbox.claim(10, Deadline::never()).await.unwrap();
    let first = claim().await;
    assert_eq!(first[0].kind, "user.registered");
    assert!(claim().await.is_empty());
    f.clock.advance(Duration::from_secs(31));
    let second = claim().await;
    assert_eq!(second[0].id, first[0].id);
    assert_eq!(second[0].attempts, 2);
    outbox
        .done(&[second[0].id], Deadline::never())
        .await
        .unwrap();
    f.clock.advance(Duration::from_secs(31));
    assert!(claim().await.is_empty());
}

#[tokio::test]
async fn the_publisher_hands_over_in_order_and_tries_refused_events_again() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let refuse_first = Arc::new(Mutex::new(true));
    let outbox = f.db.outbox();
    let publisher = {
        let (seen, refuse_first) = (Arc::clone(&seen), Arc::clone(&refuse_first));
        tokio::spawn(async move {
            outbox
                .run(|event| {
                    let refused = std::mem::take(&mut *refuse_first.lock().unwrap());
                    if !refused {
                        seen.lock().unwrap().push(event.kind);
                    }
                    async move { !refused }
                })
                .await;
        })
    };
    f.db.personas()
        .create(&ada.call, &draft("Sarah"))
        .await
        .unwrap();
    let until = async |count: usize| {
        while seen.lock().unwrap().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), until(1))
        .await
        .unwrap();
    // Its claim lapses on the held clock.
    f.clock.advance(Duration::from_secs(31));
    tokio::time::timeout(Duration::from_secs(10), until(2))
        .await
        .unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        ["persona.created", "user.registered"]
    );
    f.db.close();
    publisher.await.unwrap();
    assert_eq!(f.count("SELECT count(*) FROM outbox").await, 0);
}

#[tokio::test]
async fn one_server_tells_the_other_of_its_commits() {
    let f = Fixture::new().await;
    let ada = f.person("ada@example.org").await;
    let other = f.another();
    other.start().await.unwrap();
    let mut tending = tokio::task::JoinSet::new();
    for db in [f.db.clone(), other.clone()] {
        tending.spawn(async move { db.maintain().await });
    }
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let outbox = other.outbox();
    tending.spawn(async move {
        outbox
            .run(|event| {
                let _ = sender.send(event.kind);
                async { true }
            })
            .await;
    });
    // Only the other server publishes; the first one's commit reaches it.
    f.db.personas()
        .create(&ada.call, &draft("Sarah"))
        .await
        .unwrap();
    for expected in ["user.registered", "persona.created"] {
        let kind = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await;
        assert_eq!(kind.unwrap().unwrap(), expected);
    }
    let listening = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query LIKE 'NOTIFY%')";
    let both = async {
        while f.count(listening).await < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), both)
        .await
        .unwrap();
    f.db.close();
    other.close();
    tending.join_all().await;
}
