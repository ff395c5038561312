//! What is looked for in a span of text.
//!
//! Detectors work on a view of the span in which invisible characters are
//! gone and other forms of ASCII characters are ASCII, so that neither a
//! zero-width space nor full-width digits hide anything.

mod iban;
mod mail;
mod network;
mod number;
mod secret;
mod wallet;

use crate::normal::{ascii_form, is_invisible};
pub(crate) use iban::is_open as is_open_iban;
use std::ops::Range;

/// A kind of thing that should not travel unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A payment card number.
    Card,
    /// A bank account number.
    Iban,
    /// An IP address.
    Ip,
    /// A US social security or taxpayer number.
    Ssn,
    /// A UK health service number.
    Nhs,
    /// An address of a crypto wallet.
    Wallet,
    /// A key, token or password of a system.
    Secret,
    /// A word too long to be examined.
    Overlong,
    /// A picture that a client would fetch from another host.
    RemoteImage,
}

impl Kind {
    /// The stable id of the rule that finds it.
    #[must_use]
    pub const fn rule_id(self) -> &'static str {
        match self {
            Self::Email => "personal_data.email",
            Self::Phone => "personal_data.phone",
            Self::Card => "personal_data.card",
            Self::Iban => "personal_data.iban",
            Self::Ip => "personal_data.ip",
            Self::Ssn => "personal_data.ssn",
            Self::Nhs => "personal_data.nhs",
            Self::Wallet => "personal_data.wallet",
            Self::Secret => "secret.credential",
            Self::Overlong => "unscannable.long_word",
            Self::RemoteImage => "output.remote_image",
        }
    }

    /// The word in its placeholders.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::Card => "CARD",
            Self::Iban => "IBAN",
            Self::Ip => "IP",
            Self::Ssn => "SSN",
            Self::Nhs => "NHS",
            Self::Wallet => "WALLET",
            Self::Secret => "SECRET",
            Self::Overlong => "LONG_WORD",
            Self::RemoteImage => "IMAGE",
        }
    }

    /// What it is called in a reason.
    pub(crate) const fn plural(self) -> &'static str {
        match self {
            Self::Email => "e-mail addresses",
            Self::Phone => "telephone numbers",
            Self::Card => "payment card numbers",
            Self::Iban => "bank account numbers",
            Self::Ip => "IP addresses",
            Self::Ssn => "social security numbers",
            Self::Nhs => "health service numbers",
            Self::Wallet => "wallet addresses",
            Self::Secret => "keys or passwords",
            Self::Overlong => "words too long to examine",
            Self::RemoteImage => "pictures on other hosts",
        }
    }
}

/// Something found, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) range: Range<usize>,
}

/// A span as the detectors see it.
pub(crate) struct View<'a> {
    /// The characters; what is no form of ASCII is a letter `\u{FF}`-like
    /// byte above 127.
    pub(crate) bytes: &'a [u8],
    /// What stood before the span.
    pub(crate) context: &'a [u8],
}

/// A byte that stands for a letter outside ASCII.
const FOREIGN: u8 = 0x80;

/// Everything in `span`, from left to right, without overlaps. `context` is
/// what stood before it.
pub(crate) fn scan(span: &str, context: &[u8]) -> Vec<Finding> {
    let bytes = span.as_bytes();
    let may_hold = |b: &u8| matches!(b, b'0'..=b'9' | b'@' | b':') || *b >= 0x80;
    if bytes.len() < secret::SHORTEST && !bytes.iter().any(may_hold) {
        return Vec::new();
    }
    if span.is_ascii() {
        return find(&View { bytes, context });
    }
    let (folded, origins) = folded(span);
    let mut findings = find(&View {
        bytes: &folded,
        context,
    });
    for finding in &mut findings {
        let at = |index: usize| origins.get(index).copied().unwrap_or(span.len());
        finding.range = at(finding.range.start)..at(finding.range.end);
    }
    findings
}

/// The span in ASCII, and where each byte came from. Invisible characters
/// after a byte belong to it.
fn folded(span: &str) -> (Vec<u8>, Vec<usize>) {
    let mut folded = Vec::with_capacity(span.len());
    let mut origins = Vec::with_capacity(span.len() + 1);
    for (at, c) in span.char_indices() {
        if is_invisible(c) {
            continue;
        }
        folded.push(
            ascii_form(c)
                .and_then(|c| u8::try_from(c).ok())
                .unwrap_or(FOREIGN),
        );
        origins.push(at);
    }
    origins.push(span.len());
    (folded, origins)
}

/// Runs the detectors whose characters occur at all.
fn find(view: &View<'_>) -> Vec<Finding> {
    let (mut digits, mut signs, mut colons, mut dots) = (0, 0, 0, 0);
    for b in view.bytes {
        match b {
            b'0'..=b'9' => digits += 1,
            b'@' => signs += 1,
            b':' => colons += 1,
            b'.' => dots += 1,
            _ => {}
        }
    }
    let length = view.bytes.len();
    let mut findings = Vec::new();
    if length >= secret::SHORTEST {
        secret::find(view, &mut findings);
    }
    if signs > 0 {
        if colons > 0 {
            secret::find_url_password(view, &mut findings);
        }
        mail::find(view, &mut findings);
    }
    if digits > 0 && (colons > 1 || dots > 2) {
        network::find(view, &mut findings);
    }
    if digits > 1 && length >= iban::SHORTEST {
        iban::find(view, &mut findings);
    }
    if digits > 0 && length >= wallet::SHORTEST {
        wallet::find(view, &mut findings);
    }
    if digits >= number::FEWEST_DIGITS {
        number::find(view, &mut findings);
    }
    without_overlaps(findings)
}

/// Of findings that overlap, the one that begins first and then the longest
/// stays, widened to the end of those that it swallows in part.
fn without_overlaps(mut findings: Vec<Finding>) -> Vec<Finding> {
    if findings.len() < 2 {
        return findings;
    }
    findings.sort_by_key(|finding| (finding.range.start, usize::MAX - finding.range.end));
    let mut kept: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        match kept.last_mut() {
            Some(last) if finding.range.start < last.range.end => {
                last.range.end = last.range.end.max(finding.range.end);
            }
            _ => kept.push(finding),
        }
    }
    kept
}

impl View<'_> {
    pub(crate) fn at(&self, index: usize) -> Option<u8> {
        self.bytes.get(index).copied()
    }

    /// The byte before `index`.
    pub(crate) fn before(&self, index: usize) -> Option<u8> {
        index.checked_sub(1).and_then(|index| self.at(index))
    }

    /// Whether one of `words`, all in lower case, begins shortly before
    /// `index`, in the span or in what came before it.
    pub(crate) fn follows(&self, index: usize, words: &[&str]) -> bool {
        const REACH: usize = 40;
        let own = self.bytes.get(index.saturating_sub(REACH)..index);
        let own = own.unwrap_or_default();
        let from = (self.context.len() + own.len()).saturating_sub(REACH);
        let earlier = self.context.get(from..).unwrap_or_default();
        let mut near = [b' '; REACH];
        for (slot, b) in near.iter_mut().zip(earlier.iter().chain(own)) {
            *slot = b.to_ascii_lowercase();
        }
        let mut before = b' ';
        near.iter().enumerate().any(|(at, b)| {
            let begins = b.is_ascii_alphabetic() && !before.is_ascii_alphabetic();
            before = *b;
            let rest = near.get(at..).unwrap_or_default();
            begins && words.iter().any(|word| rest.starts_with(word.as_bytes()))
        })
    }
}

/// Whether a byte belongs to a word: a letter of any alphabet, a digit or `_`.
pub(crate) const fn is_wordy(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= FOREIGN
}
