//! Telephone numbers. They have no checksum, so shape and announcement decide:
//! an international prefix, a grouping that is used for little else, or a word
//! such as "call" before it.

use super::{Series, card};
use std::{cell::LazyCell, ops::Deref};

const WORDS: [&str; 24] = [
    "phone",
    "tel",
    "telephone",
    "call",
    "mobile",
    "cell",
    "fax",
    "whatsapp",
    "ring",
    "dial",
    "text me",
    "sms",
    "contact me",
    "contact us",
    "contact number",
    "hotline",
    "reach me",
    "reach us",
    "telefon",
    "handy",
    "mobil",
    "rufnummer",
    "number is",
    "landline",
];

/// How many groups a telephone number takes and where it starts, which may be
/// at a sign before the first group.
pub(super) fn find(series: &Series<'_>) -> Option<(usize, usize)> {
    let start = series.start();
    match series.sign() {
        Some(b'+') => {
            let sign = start - 1;
            // `1+2` is arithmetic.
            let glued = series.view.before(sign).is_some_and(super::is_wordy);
            let count = longest(series, |_, digits| {
                let at_most = if digits.first() == Some(&1) { 11 } else { 15 };
                (8..=at_most).contains(&digits.len())
            })?;
            (!glued).then_some((count, sign))
        }
        // A decimal, a path, a negative number or an identifier.
        Some(b'.' | b'/' | b'@' | b'%' | b'~' | b'-') => None,
        // A time; a label such as `tel:` is fine.
        Some(b':')
            if start >= 2
                && series
                    .view
                    .at(start - 2)
                    .is_some_and(|b| b.is_ascii_digit()) =>
        {
            None
        }
        sign => {
            let announced = LazyCell::new(|| series.follows(&WORDS));
            let count = longest(series, |count, digits| {
                is_national(series, count, digits, &announced)
            })?;
            let opens = sign == Some(b'(') && series.separator(0).starts_with(b")");
            Some((count, if opens { start - 1 } else { start }))
        }
    }
}

/// The most groups that `accepts`, without cutting into a card number.
fn longest(series: &Series<'_>, accepts: impl Fn(usize, &[u8]) -> bool) -> Option<usize> {
    let is_number =
        |count: &usize| series.may_end(*count) && accepts(*count, series.digits(*count));
    let most = (1..=series.groups.len()).rev().find(is_number)?;
    let card = (1..most).find(|index| {
        let rest = series.groups.get(*index..).unwrap_or_default();
        card::find(&Series::new(series.view, rest)).is_some()
    });
    match card {
        Some(card) => (1..=card).rev().find(is_number),
        None => Some(most),
    }
}

fn is_national(
    series: &Series<'_>,
    count: usize,
    digits: &[u8],
    announced: &impl Deref<Target = bool>,
) -> bool {
    if !(7..=15).contains(&digits.len()) {
        return false;
    }
    is_north_american(series, count, digits)
        || is_trunk(series, count, digits)
        || is_announced(series, count, digits) && **announced
}

/// `(415) 555-2671`, `415-555-2671`, `415.555.2671`, `1 415 555 2671`.
fn is_north_american(series: &Series<'_>, count: usize, digits: &[u8]) -> bool {
    let shape = series.shape(count);
    let national = match shape {
        [3, 3, 4] => digits,
        [1, 3, 3, 4] if digits.first() == Some(&1) => digits.get(1..).unwrap_or_default(),
        // `(415) 5552671` and `415-5552671`.
        [3, 7] => digits,
        _ => return false,
    };
    let area = national.first().is_some_and(|digit| *digit >= 2);
    let exchange = national.get(3).is_some_and(|digit| *digit >= 2);
    area && exchange && has_plain_separators(series, count)
}

/// A leading zero and groups: `020 7946 0958`, `0171/1234567`, `0044 20 …`.
fn is_trunk(series: &Series<'_>, count: usize, digits: &[u8]) -> bool {
    let shape = series.shape(count);
    let is_international = digits.starts_with(&[0, 0]) && digits.get(2).is_some_and(|d| *d != 0);
    let range = if is_international { 10..=15 } else { 9..=12 };
    // `01.02.2024 10:30` and `08-15-2024` are dates; their groups are short
    // and few. A French number has five groups of two.
    let is_date = matches!(shape, [1 | 2, 1 | 2, 4, ..]);
    count >= 2
        && digits.first() == Some(&0)
        && digits.get(1..3).is_some_and(|next| next != [0, 0])
        && range.contains(&digits.len())
        && shape.first().is_some_and(|first| *first >= 2)
        && !is_date
        && has_plain_separators(series, count)
}

/// Any shape that is no date, for when a word says what it is.
fn is_announced(series: &Series<'_>, count: usize, digits: &[u8]) -> bool {
    let is_date = matches!(series.shape(count), [4, 2, 2] | [2, 2, 4]);
    !is_date && digits.len() <= 13 && has_plain_separators(series, count)
}

/// Separators as people write them in telephone numbers.
fn has_plain_separators(series: &Series<'_>, count: usize) -> bool {
    (0..count.saturating_sub(1)).all(|index| series.separator(index) != b"\t")
}
