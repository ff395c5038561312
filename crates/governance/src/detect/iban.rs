//! International bank account numbers: country, length and checksum.

use super::{FOREIGN, Finding, Kind, View};
use crate::normal::{ascii_form, is_invisible};

/// Country codes with the length of their numbers.
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// The shortest number.
pub(super) const SHORTEST: usize = 15;
/// The longest number with a separator after every fourth character.
const LONGEST: usize = 33 + 9;

pub(super) fn find(view: &View<'_>, findings: &mut Vec<Finding>) {
    let mut at = 0;
    while at + SHORTEST <= view.bytes.len() {
        match end_of(view, at) {
            Some(end) => {
                findings.push(Finding {
                    kind: Kind::Iban,
                    range: at..end,
                });
                at = end;
            }
            None => at += 1,
        }
    }
}

/// Where the number that begins at `start` ends, if one does.
fn end_of(view: &View<'_>, start: usize) -> Option<usize> {
    if !looks_like_start(view.bytes.get(start..)?)
        || view
            .before(start)
            .is_some_and(|b| b.is_ascii_alphanumeric())
    {
        return None;
    }
    let country = [view.at(start)?, view.at(start + 1)?].map(|b| b.to_ascii_uppercase());
    let (_, length) = LENGTHS.iter().find(|(code, _)| **code == country)?;
    let mut characters = Vec::with_capacity(*length);
    let mut at = start;
    let mut separated = true;
    while characters.len() < *length {
        match view.at(at)? {
            b if b.is_ascii_alphanumeric() => {
                characters.push(b.to_ascii_uppercase());
                separated = false;
            }
            b' ' | b'-' | b'.' if !separated => separated = true,
            _ => return None,
        }
        at += 1;
    }
    let goes_on = view.at(at).is_some_and(|b| b.is_ascii_alphanumeric());
    (!goes_on && has_checksum(&characters)).then_some(at)
}

/// ISO 7064 MOD 97-10 over the number with its head moved to the end.
fn has_checksum(characters: &[u8]) -> bool {
    let (head, body) = characters.split_at(4.min(characters.len()));
    let remainder = body.iter().chain(head).fold(0_u32, |remainder, b| {
        let value = match b {
            b'0'..=b'9' => u32::from(b - b'0'),
            _ => u32::from(b - b'A') + 10,
        };
        let shift = if value < 10 { 10 } else { 100 };
        (remainder * shift + value) % 97
    });
    remainder == 1
}

fn looks_like_start(text: &[u8]) -> bool {
    matches!(text, [a, b, c, d, ..] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic()
        && c.is_ascii_digit() && d.is_ascii_digit())
}

/// Whether `span` ends with the beginning of a number written in groups, so
/// that a group of letters may follow.
pub(crate) fn is_open(span: &str) -> bool {
    if !span.bytes().any(|b| b.is_ascii_digit() || b >= 0x80) {
        return false;
    }
    let mut tail: Vec<u8> = span
        .chars()
        .rev()
        .filter(|c| !is_invisible(*c))
        .map(|c| {
            ascii_form(c)
                .and_then(|c| u8::try_from(c).ok())
                .unwrap_or(FOREIGN)
        })
        .take(LONGEST + 1)
        .collect();
    tail.reverse();
    (0..tail.len()).any(|start| {
        let begins = start == 0 || !tail.get(start - 1).is_some_and(u8::is_ascii_alphanumeric);
        begins && is_unfinished(tail.get(start..).unwrap_or_default())
    })
}

/// Whether `text` is a number with groups of four that has not all of its
/// characters yet.
fn is_unfinished(text: &[u8]) -> bool {
    let [a, b, ..] = text else {
        return false;
    };
    let country = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
    let Some((_, length)) = LENGTHS.iter().find(|(code, _)| **code == country) else {
        return false;
    };
    let in_groups = text
        .split(|b| matches!(b, b' ' | b'-'))
        .all(|group| group.len() <= 4 && group.iter().all(u8::is_ascii_alphanumeric));
    let count = text.iter().filter(|b| b.is_ascii_alphanumeric()).count();
    looks_like_start(text) && in_groups && count < *length
}
