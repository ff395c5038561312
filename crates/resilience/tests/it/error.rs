//! The flat error.

use std::{error::Error as _, io, time::Duration};

use mainstay_resilience::{Error, Rejected, RejectedKind};

fn timeout<E>() -> Error<E> {
    Error::Timeout {
        by: "postgres".into(),
        after: Duration::from_secs(2),
    }
}

fn rejected<E>() -> Error<E> {
    let after = Some(Duration::from_secs(7));
    Error::Rejected(Rejected::new("postgres", RejectedKind::CircuitOpen, after))
}

#[test]
fn it_answers_questions() {
    let inner: Error<&str> = Error::from("broken");
    assert_eq!((inner.is_timeout(), inner.is_rejected()), (false, false));
    assert_eq!(inner.inner(), Some(&"broken"));
    assert_eq!(inner.into_inner(), Some("broken"));
    assert!(timeout::<&str>().is_timeout());
    assert_eq!(timeout::<&str>().into_inner(), None);
    assert!(rejected::<&str>().is_rejected());
    assert_eq!(
        rejected::<&str>().retry_after(),
        Some(Duration::from_secs(7))
    );
    assert_eq!(rejected::<&str>().rejected().unwrap().by(), "postgres");
}

#[test]
fn it_says_who_and_why() {
    assert_eq!(
        timeout::<&str>().to_string(),
        "postgres: no answer within 2s"
    );
    assert_eq!(
        rejected::<&str>().to_string(),
        "postgres: the circuit is open; retry after 7s"
    );
    assert_eq!(Error::Inner("broken").to_string(), "broken");
}

#[test]
fn its_chain_of_sources_has_no_gap_and_no_repetition() {
    let cause = io::Error::other("disk full");
    let inner = io::Error::other(cause);
    let error = Error::Inner(inner);
    assert_eq!(error.to_string(), "disk full");
    assert!(timeout::<io::Error>().source().is_none());
}

#[test]
fn nesting_is_undone() {
    let nested: Error<Error<&str>> = Error::Inner(timeout());
    assert_eq!(nested.flatten(), timeout());
    let outer: Error<Error<&str>> = rejected();
    assert_eq!(outer.flatten(), rejected());
    assert_eq!(Error::Inner(1).map_inner(|n| n + 1), Error::Inner(2));
}

#[test]
fn a_question_mark_makes_it() {
    fn inner() -> Result<(), &'static str> {
        Err("broken")
    }
    fn outer() -> Result<(), Error<&'static str>> {
        inner()?;
        Ok(())
    }
    assert_eq!(outer(), Err(Error::Inner("broken")));
}
