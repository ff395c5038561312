//! Identity as its callers see it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod forgery;
mod tokens;

use jiff::Timestamp;
use mainstay_domain::{Principal, Role, SessionId, UserId, WorkspaceId};
use mainstay_identity::{KeyRotation, KeySet, SigningKey, TokenConfig, TokenIssuer, TokenVerifier};
use std::sync::Arc;

/// A moment, in seconds after the first one of the tests.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn principal() -> Principal {
    Principal {
        user_id: UserId::at(at(0)),
        workspace_id: WorkspaceId::at(at(0)),
        role: Role::Member,
        session_id: SessionId::at(at(0)),
    }
}

/// An issuer and a verifier that trust each other.
struct Pair {
    key: SigningKey,
    keys: Arc<KeySet>,
    issuer: TokenIssuer,
    verifier: TokenVerifier,
}

fn pair() -> Pair {
    let key = SigningKey::generate(at(0)).unwrap();
    let keys = Arc::new(KeySet::new(KeyRotation::default(), vec![key.clone()]));
    Pair {
        key,
        issuer: TokenIssuer::new(TokenConfig::default(), Arc::clone(&keys)),
        verifier: TokenVerifier::new(TokenConfig::default(), Arc::clone(&keys), 1000),
        keys,
    }
}
