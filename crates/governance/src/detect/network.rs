//! IP addresses.

use super::{Finding, Kind, View, is_wordy};
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn find(view: &View<'_>, findings: &mut Vec<Finding>) {
    let belongs = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    let mut at = 0;
    while at < view.bytes.len() {
        let run = view.bytes.get(at..).unwrap_or_default();
        let length = run.iter().position(|b| !belongs(*b)).unwrap_or(run.len());
        if length == 0 {
            at += 1;
            continue;
        }
        let run = run.get(..length).unwrap_or_default();
        let colons = run.iter().filter(|b| **b == b':').count();
        if colons >= 2 {
            version_six(view, at, at + length, findings);
        }
        if run.iter().filter(|b| **b == b'.').count() >= 3 {
            version_four(view, at, at + length, findings);
        }
        at += length;
    }
}

/// Four decimal numbers that stand alone.
fn version_four(view: &View<'_>, start: usize, end: usize, findings: &mut Vec<Finding>) {
    let digit_or_dot = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let mut at = start;
    while at < end {
        let rest = view.bytes.get(at..end).unwrap_or_default();
        let skip = rest.iter().take_while(|b| !b.is_ascii_digit()).count();
        let run = rest.get(skip..).unwrap_or_default();
        let length = run.iter().take_while(|b| digit_or_dot(**b)).count();
        if length == 0 {
            return;
        }
        let from = at + skip;
        let dots = run.get(..length).unwrap_or_default();
        let trailing = dots.iter().rev().take_while(|b| **b == b'.').count();
        let to = from + length - trailing;
        if is_version_four(view, from, to) {
            findings.push(Finding {
                kind: Kind::Ip,
                range: from..to,
            });
        }
        at = from + length;
    }
}

fn is_version_four(view: &View<'_>, from: usize, to: usize) -> bool {
    const VERSIONS: [&str; 12] = [
        "version", "ver", "release", "build", "firmware", "driver", "upgrade", "section",
        "chapter", "clause", "revision", "oid",
    ];
    let text = view
        .bytes
        .get(from..to)
        .and_then(|b| str::from_utf8(b).ok());
    let Some(address) = text.and_then(|text| text.parse::<Ipv4Addr>().ok()) else {
        return false;
    };
    // Nobody is identified by these.
    if address.is_loopback() || address.is_unspecified() || address.is_broadcast() {
        return false;
    }
    let before = view.before(from);
    let letter_before_slash = before == Some(b'/')
        && from >= 2
        && view.at(from - 2).is_some_and(|b| b.is_ascii_alphabetic());
    // `Chrome/120.0.0.0`, `v1.2.3.4`, `1.2.3.4-beta`.
    let is_product = letter_before_slash && address.octets()[1..] == [0, 0, 0];
    let is_glued = before.is_some_and(|b| is_wordy(b) || b == b'.')
        || view.at(to).is_some_and(is_wordy)
        || (view.at(to) == Some(b'-') && view.at(to + 1).is_some_and(|b| b.is_ascii_alphabetic()));
    !is_product && !is_glued && !view.follows(from, &VERSIONS)
}

/// Whatever parses as IPv6 and holds a digit; `std::fmt` and `a::b` do not.
fn version_six(view: &View<'_>, start: usize, end: usize, findings: &mut Vec<Finding>) {
    // The run may begin inside a word or end with the sentence's punctuation.
    let mut from = start;
    if view.before(from).is_some_and(is_wordy) {
        let run = view.bytes.get(from..end).unwrap_or_default();
        match run.iter().position(|b| *b == b':') {
            // `addr:2001:db8::1` begins after the first colon.
            Some(colon) if view.at(from + colon + 1) != Some(b':') => from += colon + 1,
            _ => return,
        }
    }
    let mut to = end;
    if view.at(to).is_some_and(is_wordy) {
        return;
    }
    while to > from {
        let text = view
            .bytes
            .get(from..to)
            .and_then(|b| str::from_utf8(b).ok());
        if let Some(address) = text.and_then(|text| text.parse::<Ipv6Addr>().ok()) {
            let has_digit = text.is_some_and(|text| text.bytes().any(|b| b.is_ascii_digit()));
            if has_digit && !address.is_loopback() && !address.is_unspecified() {
                findings.push(Finding {
                    kind: Kind::Ip,
                    range: from..to,
                });
            }
            return;
        }
        match view.before(to) {
            Some(b':' | b'.') => to -= 1,
            // `[2001:db8::1]:443` ends before; here the port is glued on, or
            // the run begins with a label's colon.
            _ if view.at(from) == Some(b':') && view.at(from + 1) != Some(b':') => from += 1,
            _ => return,
        }
    }
}
