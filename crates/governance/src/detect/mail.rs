//! E-mail addresses.

use super::{FOREIGN, Finding, Kind, View};

pub(super) fn find(view: &View<'_>, findings: &mut Vec<Finding>) {
    let mut done = 0;
    for (at, _) in view.bytes.iter().enumerate().filter(|(_, b)| **b == b'@') {
        if at < done {
            continue;
        }
        let start = local_start(view, at, done);
        let end = domain_end(view, at + 1);
        if let Some(end) = end
            && start < at
        {
            findings.push(Finding {
                kind: Kind::Email,
                range: start..end,
            });
            done = end;
        }
    }
}

/// Where the local part before the `@` begins.
fn local_start(view: &View<'_>, at: usize, done: usize) -> usize {
    let belongs = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || byte >= FOREIGN
            || matches!(
                byte,
                b'.' | b'_' | b'%' | b'+' | b'-' | b'\'' | b'~' | b'=' | b'/'
            )
    };
    let mut start = at;
    while start > done && view.before(start).is_some_and(belongs) {
        start -= 1;
    }
    // In `url=x@y.org` and `https://x@y.org` the address begins later.
    let run = view.bytes.get(start..at).unwrap_or_default();
    if let Some(separator) = run.iter().rposition(|b| matches!(b, b'=' | b'/')) {
        start += separator + 1;
    }
    while start < at && view.at(start).is_some_and(|b| matches!(b, b'.' | b'\'')) {
        start += 1;
    }
    start
}

/// Where the domain that begins at `start` ends, if it is one: at least two
/// labels, the last one of letters.
fn domain_end(view: &View<'_>, start: usize) -> Option<usize> {
    let belongs =
        |byte: u8| byte.is_ascii_alphanumeric() || byte >= FOREIGN || matches!(byte, b'-' | b'.');
    let mut end = start;
    while view.at(end).is_some_and(belongs) {
        end += 1;
    }
    // Trailing punctuation belongs to the sentence. Labels after the last one
    // that can be a top-level domain are dropped one by one.
    while end > start {
        let domain = view.bytes.get(start..end)?;
        let last = domain.rsplit(|b| *b == b'.').next()?;
        let is_name = |b: &u8| b.is_ascii_alphabetic() || *b >= FOREIGN;
        let is_top = last.len() >= 2 && (last.iter().all(is_name) || last.starts_with(b"xn--"));
        if is_top && last.len() < domain.len() && domain.first() != Some(&b'.') {
            return Some(end);
        }
        end -= last.len().max(1);
    }
    None
}
