//! Tokens of attackers. Each test names the attack of the security page that
//! it stands for; all must be refused, whatever else is right about the token.

use crate::{Pair, at, pair, principal};
use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mainstay_identity::{InvalidToken, RefreshToken, TokenVerifier};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Encodes a part as given, which need not be what any library would write.
fn part(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

/// A token whose signature is genuine: the attacker is an insider, or found a
/// way to have something signed. What it says must still be refused.
fn signed(pair: &Pair, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let key = Ed25519KeyPair::from_pkcs8(&pair.key.to_pkcs8()).unwrap();
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn header(pair: &Pair) -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": pair.key.kid()})
}

fn claims() -> Value {
    let who = principal();
    json!({
        "iss": "mainstay", "aud": "mainstay", "sub": who.user_id, "wid": who.workspace_id,
        "sid": who.session_id, "role": "administrator",
        "iat": at(0).as_second(), "nbf": at(0).as_second(), "exp": at(600).as_second(),
        "jti": mainstay_domain::CorrelationId::at(at(0)),
    })
}

/// The claims with one of them changed; `Null` takes it away.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn header_with(pair: &Pair, name: &str, value: Value) -> Value {
    let mut header = header(pair);
    header[name] = value;
    header
}

#[track_caller]
fn refused(pair: &Pair, header: &Value, claims: &Value, why: InvalidToken) {
    let token = signed(pair, &header.to_string(), &claims.to_string());
    assert_eq!(
        pair.verifier.verify(&token, at(0)),
        Err(why),
        "{header} {claims}"
    );
}

#[test]
fn the_forger_s_tools_make_good_tokens() {
    // Otherwise every test below would pass for the wrong reason.
    let pair = pair();
    let token = signed(&pair, &header(&pair).to_string(), &claims().to_string());
    assert!(pair.verifier.verify(&token, at(0)).is_ok());
}

#[test]
fn attack_1_no_algorithm_and_no_signature() {
    let pair = pair();
    for alg in ["none", "NoNe", "NONE", "", "null"] {
        let header = header_with(&pair, "alg", json!(alg));
        refused(&pair, &header, &claims(), InvalidToken::Header);
        let unsigned = format!(
            "{}.{}.",
            part(&header.to_string()),
            part(&claims().to_string())
        );
        assert!(pair.verifier.verify(&unsigned, at(0)).is_err());
    }
    let genuine = signed(&pair, &header(&pair).to_string(), &claims().to_string());
    let (message, _) = genuine.rsplit_once('.').unwrap();
    assert_eq!(
        pair.verifier.verify(&format!("{message}."), at(0)),
        Err(InvalidToken::Signature)
    );
    assert_eq!(
        pair.verifier.verify(message, at(0)),
        Err(InvalidToken::Malformed)
    );
}

#[test]
fn attack_2_public_key_as_hmac_secret() {
    let pair = pair();
    let key = Ed25519KeyPair::from_pkcs8(&pair.key.to_pkcs8()).unwrap();
    let public = key.public_key().as_ref();
    for alg in ["HS256", "EdDSA"] {
        let header = header_with(&pair, "alg", json!(alg)).to_string();
        let message = format!("{}.{}", part(&header), part(&claims().to_string()));
        for secret in [public, URL_SAFE_NO_PAD.encode(public).as_bytes()] {
            let tag = hmac::sign(
                &hmac::Key::new(hmac::HMAC_SHA256, secret),
                message.as_bytes(),
            );
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert!(pair.verifier.verify(&token, at(0)).is_err(), "{alg}");
        }
    }
}

#[test]
fn attack_3_keys_inside_the_token() {
    let pair = pair();
    let own_key = Ed25519KeyPair::generate().unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519",
        "x": URL_SAFE_NO_PAD.encode(own_key.public_key().as_ref())});
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = header_with(&pair, name, value);
        refused(&pair, &header, &claims(), InvalidToken::Header);
        // And signed with the key that the token brings along.
        let message = format!(
            "{}.{}",
            part(&header.to_string()),
            part(&claims().to_string())
        );
        let signature = URL_SAFE_NO_PAD.encode(own_key.sign(message.as_bytes()));
        let token = format!("{message}.{signature}");
        assert_eq!(
            pair.verifier.verify(&token, at(0)),
            Err(InvalidToken::Header)
        );
    }
}

#[test]
fn attack_4_key_ids_that_are_paths_or_queries() {
    let pair = pair();
    for kid in [
        "../../dev/null",
        "/dev/null",
        "' UNION SELECT 'x' -- ",
        "",
        "unknown",
        "\u{0}",
    ] {
        let header = header_with(&pair, "kid", json!(kid));
        refused(&pair, &header, &claims(), InvalidToken::UnknownKey);
    }
    for kid in [json!(null), json!(1), json!([pair.key.kid()]), json!({})] {
        let header = header_with(&pair, "kid", kid);
        refused(&pair, &header, &claims(), InvalidToken::Header);
    }
}

#[test]
fn attack_5_times() {
    let pair = pair();
    let second = |offset| json!(at(offset).as_second());
    let refused = |name, value, why| {
        refused(&pair, &header(&pair), &claims_with(name, value), why);
    };
    refused("exp", second(0), InvalidToken::Expired);
    refused("exp", second(-1), InvalidToken::Expired);
    refused("exp", json!(-1), InvalidToken::Expired);
    refused("nbf", second(6), InvalidToken::NotYetValid);
    refused("iat", second(6), InvalidToken::NotYetValid);
    refused("nbf", json!(i64::MAX), InvalidToken::NotYetValid);
    for name in ["exp", "nbf", "iat"] {
        for value in [
            Value::Null,
            json!("1800000000"),
            json!(1.8e9),
            json!(u64::MAX),
            json!([1_800_000_000]),
        ] {
            refused(name, value, InvalidToken::Malformed);
        }
    }
    refused("exp", json!(i64::MAX), InvalidToken::Malformed);
}

#[test]
fn attack_6_audience_and_issuer() {
    let pair = pair();
    let refused = |name, value, why| {
        refused(&pair, &header(&pair), &claims_with(name, value), why);
    };
    refused("aud", json!("other"), InvalidToken::Audience);
    refused("aud", json!("Mainstay"), InvalidToken::Audience);
    refused("aud", json!(["mainstay"]), InvalidToken::Malformed);
    refused("aud", json!(["mainstay", "other"]), InvalidToken::Malformed);
    refused("aud", Value::Null, InvalidToken::Malformed);
    refused("iss", json!("other"), InvalidToken::Issuer);
    refused("iss", json!(["mainstay"]), InvalidToken::Malformed);
    refused("iss", Value::Null, InvalidToken::Malformed);
}

#[test]
fn attack_7_other_kinds_of_token() {
    let pair = pair();
    for typ in [
        "JWT",
        "rt+jwt",
        "id_token",
        "AT+JWT",
        "application/at+jwt",
        "",
    ] {
        let header = header_with(&pair, "typ", json!(typ));
        refused(&pair, &header, &claims(), InvalidToken::Header);
    }
    let mut untyped = header(&pair);
    untyped.as_object_mut().unwrap().remove("typ");
    refused(&pair, &untyped, &claims(), InvalidToken::Header);

    let (refresh, _) = RefreshToken::generate().unwrap();
    assert_eq!(
        pair.verifier.verify(&refresh.reveal(), at(0)),
        Err(InvalidToken::Malformed)
    );
    let access = pair.issuer.issue(&principal(), at(0)).unwrap().token;
    assert!(RefreshToken::parse(&access).is_err());
}

#[test]
fn attack_8_duplicates_criticals_and_encryption() {
    let pair = pair();
    let genuine = claims().to_string();
    for name in ["sub", "role", "exp", "aud", "wid"] {
        let value = claims()[name].to_string();
        let twice = genuine.replacen('{', &format!("{{\"{name}\":{value},"), 1);
        let token = signed(&pair, &header(&pair).to_string(), &twice);
        assert_eq!(
            pair.verifier.verify(&token, at(0)),
            Err(InvalidToken::Malformed),
            "{name} twice"
        );
    }
    let twice = header(&pair)
        .to_string()
        .replacen('{', "{\"alg\":\"EdDSA\",", 1);
    let token = signed(&pair, &twice, &genuine);
    assert_eq!(
        pair.verifier.verify(&token, at(0)),
        Err(InvalidToken::Header)
    );

    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("zip", json!("DEF")),
        ("b64", json!(false)),
        ("enc", json!("A256GCM")),
        ("p2c", json!(2_147_483_647)),
        ("cty", json!("JWT")),
    ] {
        let header = header_with(&pair, name, value);
        refused(&pair, &header, &claims(), InvalidToken::Header);
    }
    let five_parts = ["e30", "a", "b", "c", "d"].join(".");
    assert!(pair.verifier.verify(&five_parts, at(0)).is_err());
}

#[test]
fn oversized_tokens_are_refused_before_they_are_read() {
    let pair = pair();
    for length in [TokenVerifier::MAX_BYTES + 1, 10 << 20] {
        assert_eq!(
            pair.verifier.verify(&"a".repeat(length), at(0)),
            Err(InvalidToken::TooLong)
        );
    }
    let mut padded = claims();
    padded["padding"] = json!("a".repeat(4096));
    refused(&pair, &header(&pair), &padded, InvalidToken::TooLong);
}

#[test]
fn roles_and_ids_that_do_not_exist() {
    let pair = pair();
    for (name, value) in [
        ("role", json!("root")),
        ("role", json!("Administrator")),
        ("role", json!(["administrator"])),
        ("sub", json!("1")),
        ("wid", Value::Null),
        ("sid", json!("")),
        // A jti that is no UUIDv7 has no moment of issue.
        ("jti", json!("6ba7b810-9dad-41d1-80b4-00c04fd430c8")),
    ] {
        let claims = claims_with(name, value);
        refused(&pair, &header(&pair), &claims, InvalidToken::Malformed);
    }
}

#[test]
fn every_changed_character_is_noticed() {
    let pair = pair();
    let token = pair.issuer.issue(&principal(), at(0)).unwrap().token;
    assert!(
        pair.verifier.verify(&token, at(0)).is_ok(),
        "and remembered"
    );
    for (index, byte) in token.bytes().enumerate() {
        let other = if byte == b'A' { "B" } else { "A" };
        let mut changed = token.clone();
        changed.replace_range(index..=index, other);
        assert!(pair.verifier.verify(&changed, at(0)).is_err(), "at {index}");
    }
}

#[test]
fn other_spellings_of_the_same_token_are_refused() {
    let pair = pair();
    let token = pair.issuer.issue(&principal(), at(0)).unwrap().token;
    let (message, signature) = token.rsplit_once('.').unwrap();
    for other in [
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{message}.{signature}=="),
        token.replace('.', ".\u{200B}"),
        format!("Bearer {token}"),
    ] {
        assert!(pair.verifier.verify(&other, at(0)).is_err(), "{other:?}");
    }
}

proptest! {
    #[test]
    fn hostile_text_is_refused_without_harm(text in "\\PC{0,200}") {
        prop_assert!(pair().verifier.verify(&text, at(0)).is_err());
    }

    #[test]
    fn hostile_parts_with_a_genuine_signature_do_no_harm(header_text in "\\PC{0,60}", claims_text in "\\PC{0,60}") {
        let pair = pair();
        let token = signed(&pair, &header_text, &claims_text);
        prop_assert!(pair.verifier.verify(&token, at(0)).is_err());
        let token = signed(&pair, &header(&pair).to_string(), &claims_text);
        prop_assert!(pair.verifier.verify(&token, at(0)).is_err());
    }
}
