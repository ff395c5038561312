//! Tokens of honest clients.

use crate::{at, pair, principal};
use mainstay_domain::Role;
use mainstay_identity::{
    InvalidToken, KeyRotation, SigningKey, TokenConfig, TokenIssuer, TokenVerifier,
};
use std::{sync::Arc, thread};

#[test]
fn a_token_speaks_for_its_principal_until_it_expires() {
    let pair = pair();
    let principal = principal();
    let token = pair.issuer.issue(&principal, at(0)).unwrap();
    assert_eq!(token.expires_in, 600);
    assert_eq!(token.expires_at, at(600));
    let verified = pair.verifier.verify(&token.token, at(599)).unwrap();
    assert_eq!(verified.principal, principal);
    assert_eq!(verified.jti, token.jti);
    assert_eq!(verified.expires_at, at(600));
    assert_eq!(
        pair.verifier.verify(&token.token, at(600)),
        Err(InvalidToken::Expired),
        "although it was verified before"
    );
}

#[test]
fn the_moment_of_issue_is_known_to_the_millisecond() {
    let pair = pair();
    let moment = jiff::Timestamp::from_millisecond(1_700_000_000_123).unwrap();
    let token = pair.issuer.issue(&principal(), moment).unwrap();
    let verified = pair.verifier.verify(&token.token, moment).unwrap();
    assert_eq!(verified.issued_at, moment);
}

#[test]
fn every_role_survives_the_journey() {
    let pair = pair();
    for role in [
        Role::Service,
        Role::Member,
        Role::Operator,
        Role::Administrator,
    ] {
        let principal = mainstay_domain::Principal {
            role,
            ..principal()
        };
        let token = pair.issuer.issue(&principal, at(0)).unwrap();
        let verified = pair.verifier.verify(&token.token, at(0)).unwrap();
        assert_eq!(verified.principal.role, role);
    }
}

#[test]
fn the_clock_of_the_verifier_may_be_a_little_behind() {
    let pair = pair();
    let token = pair.issuer.issue(&principal(), at(5)).unwrap().token;
    assert!(pair.verifier.verify(&token, at(0)).is_ok());
    let token = pair.issuer.issue(&principal(), at(6)).unwrap().token;
    assert_eq!(
        pair.verifier.verify(&token, at(0)),
        Err(InvalidToken::NotYetValid)
    );
}

#[test]
fn after_a_rotation_old_tokens_count_until_the_overlap_ends() {
    let pair = pair();
    let rotation = KeyRotation::default();
    let period = i64::try_from(rotation.period_seconds).unwrap();
    let overlap_ends =
        period + i64::try_from(rotation.publish_ahead_seconds + rotation.overlap_seconds).unwrap();
    let long_lived = TokenConfig {
        access_token_seconds: 1_000_000,
        ..TokenConfig::default()
    };
    let issuer = TokenIssuer::new(long_lived, Arc::clone(&pair.keys));
    let old = issuer.issue(&principal(), at(period)).unwrap().token;

    let new_key = SigningKey::generate(at(period)).unwrap();
    pair.keys.replace(vec![pair.key.clone(), new_key]);
    assert!(pair.verifier.verify(&old, at(overlap_ends - 1)).is_ok());
    assert_eq!(
        pair.verifier.verify(&old, at(overlap_ends)),
        Err(InvalidToken::UnknownKey),
        "although it was verified before"
    );
    let new = issuer.issue(&principal(), at(overlap_ends)).unwrap().token;
    assert!(pair.verifier.verify(&new, at(overlap_ends)).is_ok());
}

#[test]
fn a_withdrawn_key_is_refused_at_once_even_for_remembered_tokens() {
    let pair = pair();
    let token = pair.issuer.issue(&principal(), at(0)).unwrap().token;
    assert!(pair.verifier.verify(&token, at(0)).is_ok());
    pair.keys
        .replace(vec![SigningKey::generate(at(0)).unwrap()]);
    assert_eq!(
        pair.verifier.verify(&token, at(0)),
        Err(InvalidToken::UnknownKey)
    );
}

#[test]
fn another_deployment_s_tokens_are_not_ours() {
    let pair = pair();
    let theirs = |issuer: &str, audience: &str| {
        let config = TokenConfig {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            ..TokenConfig::default()
        };
        // Even if they came to share the key.
        let issuer = TokenIssuer::new(config, Arc::clone(&pair.keys));
        let token = issuer.issue(&principal(), at(0)).unwrap().token;
        pair.verifier.verify(&token, at(0))
    };
    assert_eq!(theirs("other", "mainstay"), Err(InvalidToken::Issuer));
    assert_eq!(theirs("mainstay", "other"), Err(InvalidToken::Audience));
}

#[test]
fn remembering_is_optional() {
    let pair = pair();
    let verifier = TokenVerifier::new(TokenConfig::default(), pair.keys, 0);
    let token = pair.issuer.issue(&principal(), at(0)).unwrap().token;
    for _ in 0..3 {
        assert!(verifier.verify(&token, at(0)).is_ok());
    }
}

#[test]
fn many_threads_verify_while_keys_change() {
    let pair = pair();
    let token = pair.issuer.issue(&principal(), at(0)).unwrap().token;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert!(pair.verifier.verify(&token, at(0)).is_ok());
                }
            });
        }
        scope.spawn(|| {
            for second in 1..20 {
                let newer = SigningKey::generate(at(second)).unwrap();
                pair.keys.replace(vec![pair.key.clone(), newer]);
            }
        });
    });
}

#[test]
fn a_token_does_not_appear_in_debug_output() {
    let token = pair().issuer.issue(&principal(), at(0)).unwrap();
    assert!(!format!("{token:?}").contains(&token.token));
}
