//! What both dialects share of reading a request and making up an answer.

use serde_json::Value;

use super::fault::Fault;
use super::script::Answer;

/// The words of a message, whether its content is a string or a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

/// The last message of the user.
pub(super) fn last_user_message(body: &Value) -> String {
    let messages = body["messages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    messages
        .iter()
        .rfind(|message| message["role"] == "user")
        .map(|message| text_of(&message["content"]))
        .unwrap_or_default()
}

/// Tokens of the whole prompt, the same for the same prompt.
pub(super) fn prompt_tokens(body: &Value) -> u64 {
    let messages = body["messages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let system = text_of(&body["system"]).len();
    let turns: usize = messages
        .iter()
        .map(|message| 12 + text_of(&message["content"]).len())
        .sum();
    tokens(system + turns)
}

/// Four bytes to a token, rounded up.
pub(super) fn tokens(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

/// The answer to a request: the scripted one, or one by which a test knows
/// what was asked.
pub(super) fn answer(body: &Value, scripted: Option<Answer>, fault: &Fault) -> Answer {
    if let Fault::Huge { bytes } = fault {
        return Answer::Text("x".repeat(*bytes));
    }
    scripted
        .unwrap_or_else(|| Answer::Text(format!("Scripted answer to: {}", last_user_message(body))))
}

/// The pieces in which a text is streamed: words with the space before them,
/// long ones cut.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    const LONGEST: usize = 4096;
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        if at > start && (c == ' ' || at - start >= LONGEST) {
            pieces.push(&text[start..at]);
            start = at;
        }
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

/// An id as the vendors make them: a prefix and letters that look random.
pub(super) fn id(prefix: &str, serial: u64, letters: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut state = serial;
    let tail = (0..letters).map(|_| {
        state = splitmix(state);
        char::from(ALPHABET[(state % 62) as usize])
    });
    prefix.chars().chain(tail).collect()
}

/// A well-mixed number that follows from the one before.
pub(super) fn splitmix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_make_the_text_again() {
        for text in [
            "",
            " ",
            "a",
            "one two  three",
            "漢字 🦀🦀 é",
            &"x".repeat(10_000),
            &"é".repeat(5_000),
        ] {
            assert_eq!(pieces(text).concat(), text);
            assert!(pieces(text).iter().all(|piece| !piece.is_empty()));
        }
    }
}
