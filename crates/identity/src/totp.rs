//! Time-based one-time passwords (RFC 6238) and the recovery codes for those
//! who lose their device.

use crate::{
    opaque::TokenHash,
    random::{self, RandomnessUnavailable},
};
use aws_lc_rs::{constant_time, digest, hmac};
use jiff::Timestamp;
use std::fmt;
use zeroize::Zeroizing;

/// The secret that a person's authenticator shares with us: 160 bits. Store it
/// sealed; it cannot be hashed.
pub struct TotpSecret(Zeroizing<[u8; 20]>);

/// The moment that a code was made for. Store the last one that was accepted:
/// a code counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TotpStep(pub i64);

impl TotpSecret {
    /// The seconds that a code is shown for.
    pub const PERIOD: i64 = 30;

    /// A new secret.
    ///
    /// # Errors
    /// [`RandomnessUnavailable`] when the system gives no random bytes.
    pub fn generate() -> Result<Self, RandomnessUnavailable> {
        Ok(Self(Zeroizing::new(random::bytes()?)))
    }

    /// A secret as it was stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret, to be stored sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The address that an authenticator reads from a QR code. It holds the
    /// secret: show it once, over TLS, and never log it.
    #[must_use]
    pub fn provisioning_uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let secret = Zeroizing::new(base32(self.0.as_slice()));
        let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
            secret.as_str()
        ))
    }

    /// The step that `code` stands for, if it is right at `now` or one period
    /// before or after, and later than `last_used`.
    #[must_use]
    pub fn verify(
        &self,
        code: &str,
        now: Timestamp,
        last_used: Option<TotpStep>,
    ) -> Option<TotpStep> {
        let code = code.trim();
        if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let current = now.as_second().div_euclid(Self::PERIOD);
        // All three are computed whatever the first ones say.
        let found = [current - 1, current, current + 1].map(|step| {
            let expected = self.code(step);
            let equal =
                constant_time::verify_slices_are_equal(expected.as_bytes(), code.as_bytes());
            equal.ok().map(|()| TotpStep(step))
        });
        found
            .into_iter()
            .flatten()
            .find(|step| last_used.is_none_or(|last| *step > last))
    }

    /// The code of a step.
    fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.0.as_slice());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag.last().copied().unwrap_or(0) & 0x0F);
        let number = tag
            .iter()
            .skip(offset)
            .take(4)
            .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        format!("{:06}", (number & 0x7FFF_FFFF) % 1_000_000)
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret([redacted])")
    }
}

/// A code that replaces the second factor once. 80 random bits, so that a
/// plain hash can be stored.
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// How many a person gets.
    pub const COUNT: usize = 10;

    /// A fresh set. All earlier ones should be forgotten with it.
    ///
    /// # Errors
    /// [`RandomnessUnavailable`] when the system gives no random bytes.
    pub fn generate_set() -> Result<Vec<Self>, RandomnessUnavailable> {
        (0..Self::COUNT)
            .map(|_| {
                let bytes = Zeroizing::new(random::bytes::<10>()?);
                Ok(Self(Zeroizing::new(base32(bytes.as_slice()))))
            })
            .collect()
    }

    /// Reads a code as a person types it: case, spaces and dashes do not
    /// matter. `None` when it cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let code: String = text
            .chars()
            .filter(|c| !matches!(c, ' ' | '-'))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let is_base32 = |b: u8| matches!(b, b'A'..=b'Z' | b'2'..=b'7');
        let code = Zeroizing::new(code);
        (code.len() == 16 && code.bytes().all(is_base32)).then_some(Self(code))
    }

    /// What to store and to look up by.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        hash
    }

    /// The code for people: four groups of four.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(19));
        for (index, c) in self.0.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            text.push(c);
        }
        text
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode([redacted])")
    }
}

/// RFC 4648 base32 without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(ALPHABET[(bits >> count & 31) as usize]));
        }
    }
    if count > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - count) & 31) as usize]));
    }
    text
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn published() -> TotpSecret {
        TotpSecret::from_bytes(*b"12345678901234567890")
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six digits.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert!(
                published().verify(code, at(second), None).is_some(),
                "{code}"
            );
        }
    }

    #[test]
    fn a_code_counts_for_its_neighbours_in_time_and_no_longer() {
        let code = published().code(100);
        let verdict = |second| published().verify(&code, at(second), None);
        assert_eq!(verdict(99 * 30 - 1), None);
        assert_eq!(verdict(99 * 30), Some(TotpStep(100)));
        assert_eq!(verdict(101 * 30 + 29), Some(TotpStep(100)));
        assert_eq!(verdict(102 * 30), None);
    }

    #[test]
    fn a_code_counts_once() {
        let code = published().code(100);
        let used = published().verify(&code, at(3000), None);
        assert_eq!(used, Some(TotpStep(100)));
        assert_eq!(published().verify(&code, at(3001), used), None);
        let next = published().code(101);
        assert_eq!(
            published().verify(&next, at(3001), used),
            Some(TotpStep(101))
        );
        // Going back to an earlier code is a replay, too.
        let earlier = published().code(99);
        assert_eq!(published().verify(&earlier, at(3001), used), None);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for bad in ["", "28708", "2870822", "28708a", "２８７０８２", "-87082"] {
            assert_eq!(published().verify(bad, at(59), None), None, "{bad:?}");
        }
        assert!(published().verify(" 287082 ", at(59), None).is_some());
    }

    #[test]
    fn an_authenticator_can_read_the_address() {
        let uri = published().provisioning_uri("Mainstay & Co", "ada@example.org");
        assert_eq!(
            uri.as_str(),
            "otpauth://totp/Mainstay%20%26%20Co:ada%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Mainstay%20%26%20Co&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn recovery_codes_are_known_however_they_are_typed() {
        let codes = RecoveryCode::generate_set().unwrap();
        assert_eq!(codes.len(), RecoveryCode::COUNT);
        let shown = codes[0].reveal();
        assert_eq!(shown.len(), 19);
        for typed in [
            shown.to_lowercase(),
            shown.replace('-', ""),
            shown.replace('-', " - "),
        ] {
            let code = RecoveryCode::parse(&typed).unwrap();
            assert_eq!(code.hash(), codes[0].hash(), "{typed}");
        }
        assert_ne!(codes[0].hash(), codes[1].hash());
        for bad in [
            "",
            "AAAA-AAAA-AAAA-AAA",
            "AAAA-AAAA-AAAA-AAA1",
            &"A".repeat(1000),
        ] {
            assert!(RecoveryCode::parse(bad).is_none());
        }
    }

    #[test]
    fn base32_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let code = RecoveryCode::parse("AAAA-AAAA-AAAA-AAAA").unwrap();
        assert_eq!(
            format!("{:?} {code:?}", published()),
            "TotpSecret([redacted]) RecoveryCode([redacted])"
        );
    }
}
