//! Durations in attributes.

use std::time::Duration;

use syn::{Error, LitStr};

/// Reads `"5s"`, `"250ms"`, `"1m 30s"`; zero is refused.
pub(crate) fn parse(literal: &LitStr) -> syn::Result<Duration> {
    let text = literal.value();
    match read(&text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        Some(_) => Err(Error::new(
            literal.span(),
            "the duration must be longer than zero",
        )),
        None => Err(Error::new(
            literal.span(),
            "expected a duration such as \"5s\", \"250ms\" or \"1m 30s\"",
        )),
    }
}

fn read(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let end = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let part = match unit {
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail.trim_start();
    }
    Some(total)
}
