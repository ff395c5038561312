//! Numbers with a meaning: payment cards, telephone numbers, national ids.
//!
//! A number is a series of groups of digits. At each group every kind is
//! tried; those with a checksum come first, so that a card is never taken for
//! a telephone number.

mod card;
mod national;
mod phone;

use super::{Finding, Kind, View, is_wordy};

/// The fewest digits of anything found here.
pub(super) const FEWEST_DIGITS: usize = 7;
/// The most digits that are looked at together.
const MAX_DIGITS: usize = 19;
/// The most groups that are looked at together.
const MAX_GROUPS: usize = 10;

/// A group of digits, with the separators before it.
#[derive(Debug, Clone, Copy)]
struct Group {
    start: usize,
    end: usize,
}

impl Group {
    const fn len(self) -> usize {
        self.end - self.start
    }
}

/// Groups that may be one number: the first so many of them, for any count.
struct Series<'a> {
    view: &'a View<'a>,
    groups: &'a [Group],
    lengths: [usize; MAX_GROUPS],
    digits: [u8; MAX_DIGITS],
}

pub(super) fn find(view: &View<'_>, findings: &mut Vec<Finding>) {
    let groups = groups(view);
    let mut at = 0;
    while at < groups.len() {
        let rest = groups.get(at..).unwrap_or_default();
        match match_at(view, rest) {
            Some((kind, count, start)) => {
                let end = rest.get(count - 1).map_or(start, |group| group.end);
                findings.push(Finding {
                    kind,
                    range: start..end,
                });
                at += count;
            }
            None => at += 1,
        }
    }
}

/// What begins at the first of `groups`: its kind, how many groups it takes
/// and where it starts, which may be a sign before the first group.
fn match_at(view: &View<'_>, groups: &[Group]) -> Option<(Kind, usize, usize)> {
    let first = groups.first()?;
    // Digits glued to a word are part of an identifier or a hash.
    if view.before(first.start).is_some_and(is_wordy) {
        return None;
    }
    let series = Series::new(view, groups);
    if series.digits(series.groups.len()).len() < FEWEST_DIGITS {
        return None;
    }
    if let Some(count) = card::find(&series) {
        return Some((Kind::Card, count, first.start));
    }
    if let Some(count) = national::nhs(&series) {
        return Some((Kind::Nhs, count, first.start));
    }
    if let Some(count) = national::ssn(&series) {
        return Some((Kind::Ssn, count, first.start));
    }
    let (count, start) = phone::find(&series)?;
    Some((Kind::Phone, count, start))
}

/// The groups of digits of the span.
fn groups(view: &View<'_>) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut at = 0;
    while at < view.bytes.len() {
        let rest = view.bytes.get(at..).unwrap_or_default();
        let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if length > 0 {
            groups.push(Group {
                start: at,
                end: at + length,
            });
        }
        at += length.max(1);
    }
    groups
}

/// The first groups as far as only separators stand between them.
fn connected<'g>(view: &View<'_>, groups: &'g [Group]) -> &'g [Group] {
    let mut digits = 0;
    let mut count = 0;
    for group in groups.iter().take(MAX_GROUPS) {
        digits += group.len();
        let is_joined = count == 0
            || groups
                .get(count - 1)
                .is_some_and(|before| is_separator(view, before.end, group.start));
        if !is_joined || digits > MAX_DIGITS {
            break;
        }
        count += 1;
    }
    groups.get(..count).unwrap_or_default()
}

/// Whether what stands between two groups can stand inside one number.
fn is_separator(view: &View<'_>, from: usize, to: usize) -> bool {
    let between = view.bytes.get(from..to).unwrap_or_default();
    matches!(
        between,
        b" " | b"-"
            | b"."
            | b"/"
            | b"("
            | b")"
            | b") "
            | b" ("
            | b")-"
            | b" - "
            | b"  "
            | b"-("
            | b"\t"
    )
}

impl<'a> Series<'a> {
    /// The series that begins with the first of `groups`. It is empty when
    /// that group alone has too many digits.
    fn new(view: &'a View<'a>, groups: &'a [Group]) -> Self {
        let groups = connected(view, groups);
        let mut series = Self {
            view,
            groups,
            lengths: [0; MAX_GROUPS],
            digits: [0; MAX_DIGITS],
        };
        let digits = groups
            .iter()
            .flat_map(|group| view.bytes.get(group.start..group.end).unwrap_or_default());
        for (slot, digit) in series.digits.iter_mut().zip(digits) {
            *slot = digit - b'0';
        }
        for (slot, group) in series.lengths.iter_mut().zip(groups) {
            *slot = group.len();
        }
        series
    }

    /// Whether the number may end with the group before `count`: nothing that
    /// makes it part of a word or of a decimal follows.
    fn may_end(&self, count: usize) -> bool {
        let Some(end) = self.end(count) else {
            return false;
        };
        match self.view.at(end) {
            Some(b) if is_wordy(b) => false,
            Some(b'.' | b'-' | b'/' | b':') => {
                !self.view.at(end + 1).is_some_and(|b| b.is_ascii_digit())
            }
            _ => true,
        }
    }

    fn end(&self, count: usize) -> Option<usize> {
        let last = self.groups.get(count.checked_sub(1)?)?;
        Some(last.end)
    }

    /// The digits of the first `count` groups.
    fn digits(&self, count: usize) -> &[u8] {
        let length = self.shape(count).iter().sum();
        self.digits.get(..length).unwrap_or_default()
    }

    /// The lengths of the first `count` groups.
    fn shape(&self, count: usize) -> &[usize] {
        self.lengths.get(..count).unwrap_or_default()
    }

    /// What stands between group `index` and the next.
    fn separator(&self, index: usize) -> &[u8] {
        match (self.groups.get(index), self.groups.get(index + 1)) {
            (Some(one), Some(next)) => self.view.bytes.get(one.end..next.start).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Whether all of the first `count` groups have the same separator.
    fn is_uniform(&self, count: usize) -> bool {
        (1..count.saturating_sub(1)).all(|index| self.separator(index) == self.separator(0))
    }

    fn start(&self) -> usize {
        self.groups.first().map_or(0, |group| group.start)
    }

    /// The byte right before the first group.
    fn sign(&self) -> Option<u8> {
        self.view.before(self.start())
    }

    fn follows(&self, words: &[&str]) -> bool {
        self.view.follows(self.start(), words)
    }
}
