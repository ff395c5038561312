//! Whole texts.

use crate::guarded;

#[track_caller]
fn becomes(text: &str, expected: &str) {
    assert_eq!(guarded(text), expected);
}

#[test]
fn personal_data_is_replaced() {
    for (text, expected) in [
        ("mail ada@example.org.", "mail <EMAIL_1>."),
        ("mail <ada.l+x@mail.example.co.uk>", "mail <<EMAIL_1>>"),
        ("card 4111 1111 1111 1111, thanks", "card <CARD_1>, thanks"),
        ("card 4111-1111-1111-1111.", "card <CARD_1>."),
        ("card 378282246310005", "card <CARD_1>"),
        ("card 2223003122003222", "card <CARD_1>"),
        (
            "iban GB29 NWBK 6016 1331 9268 19 is mine",
            "iban <IBAN_1> is mine",
        ),
        ("iban DE89 3704 0044 0532 0130 00 and", "iban <IBAN_1> and"),
        ("DE89370400440532013000", "<IBAN_1>"),
        ("+44 20 7946 0958 is it", "<PHONE_1> is it"),
        ("(415) 555-2671", "<PHONE_1>"),
        ("+1 (415) 555-2671", "<PHONE_1>"),
        ("020 7946 0958", "<PHONE_1>"),
        ("call 5550123456 today", "call <PHONE_1> today"),
        ("host 192.0.2.17:8080", "host <IP_1>:8080"),
        ("host 2001:db8::17.", "host <IP_1>."),
        ("[2001:db8::17]:443", "[<IP_1>]:443"),
        ("ssn 078-05-1120", "ssn <SSN_1>"),
        ("nhs 943 476 5919", "nhs <NHS_1>"),
        ("key AKIAIOSFODNN7EXAMPLE", "key <SECRET_1>"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nend",
            "<SECRET_1>\nend",
        ),
        (
            "k=-----BEGIN PRIVATE KEY-----MII and it never ends",
            "k=<SECRET_1>",
        ),
        (
            "wallet 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "wallet <WALLET_1>",
        ),
        (
            "postgres://me:hunter22@db/x",
            "postgres://me:<SECRET_1>@db/x",
        ),
    ] {
        becomes(text, expected);
    }
}

#[test]
fn ordinary_text_is_left_alone() {
    for text in [
        "In 2024 1200 people came, 5 of 10 stayed.",
        "order 1234567890",
        "at 1700000000 or 1700000000123",
        "version 1.2.3.4 and Chrome/120.0.0.0",
        "std::fmt::Display and a::b",
        "12:34:56 on 2024-01-31 or 01.02.2024 10:30",
        "550e8400-e29b-41d4-a716-446655440000",
        "3.14159265358979323846",
        "0.4111111111111111",
        "http://127.0.0.1:8000/ and 0.0.0.0",
        "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
        "-----BEGIN",
        "-----BEGIN -----BEGIN -----BEGIN nothing",
        "e4111111111111111f",
        "npm i @scope/package@1.2.3",
        "",
    ] {
        becomes(text, text);
    }
}

#[test]
fn nothing_hides_behind_invisible_or_odd_characters() {
    for text in [
        "a\u{200B}da@exam\u{AD}ple.org",
        "ada＠example.org",
        "４１１１ １１１１ １１１１ １１１１",
        "4111\u{A0}1111\u{A0}1111\u{A0}1111",
        "4111\u{2011}1111\u{2011}1111\u{2011}1111",
        "41\u{200D}11111111111111",
    ] {
        let out = guarded(text);
        assert!(out == "<EMAIL_1>" || out == "<CARD_1>", "{text:?} {out:?}");
    }
}
