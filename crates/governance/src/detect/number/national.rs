//! National numbers: US social security and taxpayer numbers, and the numbers
//! of the UK's health service.

use super::Series;

const SSN_WORDS: [&str; 8] = [
    "ssn",
    "social security",
    "soc sec",
    "social sec",
    "itin",
    "taxpayer",
    "tax id",
    "ss#",
];
const NHS_WORDS: [&str; 3] = ["nhs", "national health", "health service"];

/// How many groups a US social security or taxpayer number takes: 3-2-4, or
/// nine digits that are announced as one.
pub(super) fn ssn(series: &Series<'_>) -> Option<usize> {
    let count = match series.groups {
        [a, b, c, ..] if (a.len(), b.len(), c.len()) == (3, 2, 4) => {
            let separated =
                matches!(series.separator(0), b"-" | b" " | b"." | b" - ") && series.is_uniform(3);
            if !separated {
                return None;
            }
            // With dots it could be anything unless it is announced.
            if series.separator(0) == b"." && !series.follows(&SSN_WORDS) {
                return None;
            }
            3
        }
        [only, ..] if only.len() == 9 && series.follows(&SSN_WORDS) => 1,
        _ => return None,
    };
    if !series.may_end(count) {
        return None;
    }
    let digits = series.digits(count);
    let number = |from: usize, to: usize| {
        digits
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .fold(0_u32, |number, digit| number * 10 + u32::from(*digit))
    };
    let (area, group, serial) = (number(0, 3), number(3, 5), number(5, 9));
    let is_taxpayer = area >= 900 && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99);
    let is_social = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    (is_social || is_taxpayer).then_some(count)
}

/// How many groups an NHS number takes: ten digits with a checksum, as 3-3-4
/// or announced as one.
pub(super) fn nhs(series: &Series<'_>) -> Option<usize> {
    let announced = || series.follows(&NHS_WORDS);
    let count = match series.groups {
        [a, b, c, ..] if (a.len(), b.len(), c.len()) == (3, 3, 4) => {
            let spaced = series.separator(0) == b" " && series.is_uniform(3);
            let dashed = series.is_uniform(3) && announced();
            if !spaced && !dashed {
                return None;
            }
            3
        }
        [only, ..] if only.len() == 10 && announced() => 1,
        _ => return None,
    };
    (series.may_end(count) && has_checksum(series.digits(count))).then_some(count)
}

/// Weighted modulo 11; a check digit of ten is never issued.
fn has_checksum(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else {
        return false;
    };
    let sum: u32 = body
        .iter()
        .zip((2..=10_u32).rev())
        .map(|(digit, weight)| u32::from(*digit) * weight)
        .sum();
    let expected = (11 - sum % 11) % 11;
    expected == u32::from(*check) && digits.iter().any(|digit| *digit != 0)
}
