//! Keys, tokens and passwords of systems. (Private key blocks span lines and
//! are found by the scanner.)

use super::{Finding, Kind, View};

/// The shortest thing found here.
pub(super) const SHORTEST: usize = 12;

/// What tokens begin with, and how many characters must follow at least.
const PREFIXES: &[(&[u8], usize)] = &[
    (b"AKIA", 16),
    (b"ASIA", 16),
    (b"ghp_", 30),
    (b"gho_", 30),
    (b"ghu_", 30),
    (b"ghs_", 30),
    (b"ghr_", 30),
    (b"github_pat_", 30),
    (b"glpat-", 20),
    (b"sk-", 20),
    (b"sk_live_", 16),
    (b"sk_test_", 16),
    (b"rk_live_", 16),
    (b"pk_live_", 16),
    (b"whsec_", 24),
    (b"xoxb-", 20),
    (b"xoxa-", 20),
    (b"xoxp-", 20),
    (b"xoxr-", 20),
    (b"xoxs-", 20),
    (b"xapp-", 20),
    (b"AIza", 35),
    (b"ya29.", 20),
    (b"npm_", 30),
    (b"pypi-", 40),
    (b"hf_", 30),
    (b"dop_v1_", 40),
    (b"SG.", 40),
    (b"hvs.", 20),
    (b"msk_", 20),
    (b"msr_", 40),
    (b"msi_", 40),
    (b"mse_", 40),
    (b"msp_", 40),
];

pub(super) fn find(view: &View<'_>, findings: &mut Vec<Finding>) {
    let mut at = 0;
    while at < view.bytes.len() {
        let begins_word = view
            .before(at)
            .is_none_or(|b| !b.is_ascii_alphanumeric() && b != b'_');
        let end = if begins_word {
            token_end(view, at).or_else(|| jwt_end(view, at))
        } else {
            None
        };
        match end {
            Some(end) => {
                findings.push(Finding {
                    kind: Kind::Secret,
                    range: at..end,
                });
                at = end;
            }
            None => at += 1,
        }
    }
}

fn token_end(view: &View<'_>, at: usize) -> Option<usize> {
    let rest = view.bytes.get(at..)?;
    let first = rest.first();
    let (prefix, least) = PREFIXES
        .iter()
        .find(|(prefix, _)| prefix.first() == first && rest.starts_with(prefix))?;
    let body = rest.get(prefix.len()..)?;
    let length = run(body, |b| matches!(b, b'_' | b'-' | b'.'));
    (length >= *least).then_some(at + prefix.len() + length)
}

/// Three base64url parts, the first two of them JSON objects.
fn jwt_end(view: &View<'_>, at: usize) -> Option<usize> {
    let rest = view.bytes.get(at..)?;
    if !rest.starts_with(b"eyJ") {
        return None;
    }
    let length = run(rest, |b| matches!(b, b'_' | b'-' | b'.' | b'='));
    let token = rest.get(..length)?;
    let mut parts = token.split(|b| *b == b'.');
    let header = parts.next()?;
    let claims = parts.next()?;
    let plausible = header.len() >= 10 && claims.len() >= 10 && claims.starts_with(b"eyJ");
    plausible.then_some(at + length)
}

/// The password in `scheme://user:password@host`.
pub(super) fn find_url_password(view: &View<'_>, findings: &mut Vec<Finding>) {
    let scheme = view.bytes.windows(3).position(|window| window == b"://");
    let Some(start) = scheme.map(|at| at + 3) else {
        return;
    };
    let rest = view.bytes.get(start..).unwrap_or_default();
    let authority = rest.split(|b| *b == b'/').next().unwrap_or_default();
    let at_sign = authority.iter().rposition(|b| *b == b'@');
    let colon = authority.iter().position(|b| *b == b':');
    if let (Some(colon), Some(at_sign)) = (colon, at_sign)
        && colon + 1 < at_sign
    {
        findings.push(Finding {
            kind: Kind::Secret,
            range: start + colon + 1..start + at_sign,
        });
    }
}

/// The length of the run of letters, digits and `also`, without punctuation
/// that ends the sentence.
fn run(text: &[u8], also: impl Fn(u8) -> bool) -> usize {
    let mut length = text
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || also(**b))
        .count();
    while length > 0 && text.get(length - 1) == Some(&b'.') {
        length -= 1;
    }
    length
}
