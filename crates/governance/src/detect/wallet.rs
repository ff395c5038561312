//! Addresses of crypto wallets. Bitcoin's carry a checksum; Ethereum's are
//! known by their shape.

use super::{Finding, Kind, View};
use aws_lc_rs::digest;

/// The shortest address.
pub(super) const SHORTEST: usize = 14;

pub(super) fn find(view: &View<'_>, findings: &mut Vec<Finding>) {
    let mut at = 0;
    while at < view.bytes.len() {
        let rest = view.bytes.get(at..).unwrap_or_default();
        let length = rest
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric())
            .count();
        let word = rest.get(..length).unwrap_or_default();
        if is_wallet(word) && view.before(at) != Some(b'_') && rest.get(length) != Some(&b'_') {
            findings.push(Finding {
                kind: Kind::Wallet,
                range: at..at + length,
            });
        }
        at += length.max(1);
    }
}

fn is_wallet(word: &[u8]) -> bool {
    match word {
        [b'0', b'x', hex @ ..] => hex.len() == 40 && hex.iter().all(u8::is_ascii_hexdigit),
        [b'1' | b'3', ..] if (25..=35).contains(&word.len()) => is_base58_check(word),
        [b'b' | b'B', b'c' | b'C', b'1', ..] if (SHORTEST..=90).contains(&word.len()) => {
            is_bech32(word)
        }
        _ => false,
    }
}

/// 25 bytes in base58: a version, a hash and four bytes of a double SHA-256.
fn is_base58_check(word: &[u8]) -> bool {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut number = [0_u8; 25];
    for b in word {
        let Some(digit) = ALPHABET.iter().position(|c| c == b) else {
            return false;
        };
        let mut carry = digit;
        for byte in number.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = (carry & 0xFF) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            return false;
        }
    }
    let (payload, checksum) = number.split_at(21);
    let once = digest::digest(&digest::SHA256, payload);
    let twice = digest::digest(&digest::SHA256, once.as_ref());
    twice.as_ref().starts_with(checksum)
}

/// The checksum of BIP 173 or BIP 350 over the prefix `bc` and the data.
fn is_bech32(word: &[u8]) -> bool {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let has_lower = word.iter().any(u8::is_ascii_lowercase);
    if has_lower && word.iter().any(u8::is_ascii_uppercase) {
        return false;
    }
    // The prefix `bc`, expanded as the standard says.
    let mut values = vec![3, 3, 0, 2, 3];
    for b in word.iter().skip(3) {
        let lower = b.to_ascii_lowercase();
        let Some(value) = ALPHABET.iter().position(|c| *c == lower) else {
            return false;
        };
        values.push(value as u32);
    }
    let checksum = values.iter().fold(1_u32, |checksum, value| {
        let top = checksum >> 25;
        let next = ((checksum & 0x01ff_ffff) << 5) ^ value;
        GENERATOR
            .iter()
            .enumerate()
            .filter(|(bit, _)| top >> bit & 1 == 1)
            .fold(next, |next, (_, generator)| next ^ generator)
    });
    matches!(checksum, 1 | 0x2bc8_30a3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_addresses_are_known_and_their_misspellings_are_not() {
        for good in [
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ] {
            assert!(is_wallet(good.as_bytes()), "{good}");
            let mut bad = good.as_bytes().to_vec();
            bad[10] = if bad[10] == b'9' { b'8' } else { b'9' };
            assert!(!is_wallet(&bad), "{good} misspelt");
        }
        assert!(is_wallet(b"0x52908400098527886E0F7030069857D2E4169EE7"));
        assert!(!is_wallet(b"0x52908400098527886E0F7030069857D2E4169EE"));
    }
}
