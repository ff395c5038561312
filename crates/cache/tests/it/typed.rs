//! Values of a type.

use std::convert::Infallible;

use mainstay_cache::{Options, Source, Typed, TypedError};
use serde::{Deserialize, Serialize};

use crate::support::{clock, memory, options};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
}

fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
    }
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let users: Typed<u64, User> = memory(&clock()).await.typed("users");
    let load = || async { Ok::<_, Infallible>(Some(user("Ada"))) };
    let first = users.get_or_load(&7, &options(), load).await.unwrap();
    assert_eq!(
        (first.value, first.source),
        (Some(user("Ada")), Source::Loaded)
    );
    let second = users.get_or_load(&7, &options(), load).await.unwrap();
    assert_eq!(
        (second.value, second.source),
        (Some(user("Ada")), Source::Hot)
    );
    users.put(&7, &user("Grace"), &options()).await.unwrap();
    assert_eq!(users.get(&7).await.unwrap().value, Some(user("Grace")));
    users.invalidate(&7).await.unwrap();
    assert!(users.get(&7).await.is_none());
}

#[tokio::test]
async fn known_absence_is_told_from_not_known() {
    let users: Typed<u64, User> = memory(&clock()).await.typed("users");
    let load = || async { Ok::<Option<User>, Infallible>(None) };
    assert_eq!(
        users.get_or_load(&7, &options(), load).await.unwrap().value,
        None
    );
    assert_eq!(users.get(&7).await.unwrap().value, None);
    assert!(users.get(&8).await.is_none());
}

#[tokio::test]
async fn a_value_of_an_older_shape_is_loaded_again() {
    let cache = memory(&clock()).await;
    let old: Typed<u64, Vec<u8>> = cache.typed("users");
    old.put(&7, &vec![1, 2, 3], &options()).await.unwrap();
    let users: Typed<u64, User> = cache.typed("users");
    let load = || async { Ok::<_, Infallible>(Some(user("Ada"))) };
    assert_eq!(
        users.get_or_load(&7, &options(), load).await.unwrap().value,
        Some(user("Ada"))
    );
}

#[tokio::test]
async fn the_loaders_error_keeps_its_type() {
    let users: Typed<u64, User> = memory(&clock()).await.typed("users");
    let load = || async { Err::<Option<User>, _>("down") };
    let error = users
        .get_or_load(&7, &Options::default(), load)
        .await
        .unwrap_err();
    assert!(matches!(&error, TypedError::Load(load) if load.inner() == Some(&"down")));
}
