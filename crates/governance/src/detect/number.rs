//! Numbers with a meaning: payment cards, telephone numbers, national ids.
//!
//! A number is a series of groups of digits. At each group every kind is
//! tried; those with a checksum come first, so that a card is never taken for
//! a telephone number.

mod card;
mod national;
mod phone;

use super::{Finding, Kind, View, is_wordy};

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

/// Groups that may be one number.
struct Series<'a> {
    view: &'a View<'a>,
    groups: &'a [Group],
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
    let series = Series {
        view,
        groups: connected(view, groups),
    };
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
    // A first group that is too long is still looked at, to be refused.
    groups.get(..count.max(1)).unwrap_or_default()
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

impl Series<'_> {
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
    fn digits(&self, count: usize) -> Vec<u8> {
        self.groups
            .iter()
            .take(count)
            .flat_map(|group| {
                self.view
                    .bytes
                    .get(group.start..group.end)
                    .unwrap_or_default()
            })
            .map(|b| b - b'0')
            .collect()
    }

    /// The lengths of the first `count` groups.
    fn shape(&self, count: usize) -> Vec<usize> {
        self.groups
            .iter()
            .take(count)
            .map(|group| group.len())
            .collect()
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
