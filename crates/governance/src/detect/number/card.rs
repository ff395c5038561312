//! Payment cards: issuer range, length and the Luhn checksum.

use super::Series;

/// How many groups a card number that begins with the first group takes.
pub(super) fn find(series: &Series<'_>) -> Option<usize> {
    // `0.4111…` and `4111….5` are decimals.
    if series.sign() == Some(b'.') {
        return None;
    }
    (1..=series.groups.len())
        .rev()
        .find(|count| is_card(series, *count))
}

fn is_card(series: &Series<'_>, count: usize) -> bool {
    let shape = series.shape(count);
    let written_as_card = match shape {
        [_] => true,
        // Groups of four with a shorter end, or the shapes of American
        // Express, Diners and the older Maestro cards.
        [4, middle @ .., last] => {
            let spaced = matches!(series.separator(0), b" " | b"-" | b"  ");
            let in_fours = middle.iter().all(|length| *length == 4) && *last <= 7;
            let other = matches!(shape, [4, 6, 4 | 5]);
            spaced && series.is_uniform(count) && (in_fours || other)
        }
        [8, 8 | 5 | 10 | 11] | [6, 13] => matches!(series.separator(0), b" " | b"-"),
        _ => false,
    };
    if !written_as_card || !series.may_end(count) {
        return false;
    }
    let digits = series.digits(count);
    is_issued(digits) && has_luhn(digits)
}

/// Whether an issuer hands out numbers that begin so and are so long.
fn is_issued(digits: &[u8]) -> bool {
    let head = |length: usize| {
        digits
            .iter()
            .take(length)
            .fold(0_u32, |number, digit| number * 10 + u32::from(*digit))
    };
    let length = digits.len();
    match head(1) {
        2 => (2221..=2720).contains(&head(4)) && length == 16,
        3 => match head(2) {
            34 | 37 => length == 15,
            35 => (3528..=3589).contains(&head(4)) && (16..=19).contains(&length),
            36 | 38 | 39 => (14..=19).contains(&length),
            30 => (head(3) <= 305 || head(3) == 309) && (14..=19).contains(&length),
            _ => false,
        },
        4 => matches!(length, 13 | 16 | 18 | 19),
        5 => match head(2) {
            51..=55 => length == 16,
            50 | 56..=59 => (12..=19).contains(&length),
            _ => false,
        },
        6 => (12..=19).contains(&length),
        _ => false,
    }
}

fn has_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit < 5 => digit * 2,
            (_, digit) => digit * 2 - 9,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}
