//! Money: exact US dollars, counted in billionths, never a float.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// An amount of US dollars in nano-dollars (10⁻⁹ USD), from 0 to 9.2 billion dollars.
///
/// On the wire it is a decimal string without an exponent, such as `"0.0123"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd(i64);

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a decimal amount of US dollars such as \"0.05\", from 0 to 9000000000, with at most 9 decimals"
)]
pub struct InvalidAmount;

const NANO: i64 = 1_000_000_000;

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of nano-dollars; amounts over the range are cut to the largest.
    #[must_use]
    pub fn from_nano(nano: u64) -> Self {
        Self(i64::try_from(nano).unwrap_or(i64::MAX))
    }

    /// The amount in nano-dollars.
    #[must_use]
    pub const fn nano(self) -> i64 {
        self.0
    }

    /// The sum, cut to the largest amount.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl FromStr for Usd {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || whole.len() > 10 || fraction.len() > 9 {
            return Err(InvalidAmount);
        }
        let whole: i64 = whole.parse().map_err(|_| InvalidAmount)?;
        let fraction: i64 = format!("{fraction:0<9}")
            .parse()
            .map_err(|_| InvalidAmount)?;
        whole
            .checked_mul(NANO)
            .and_then(|nano| nano.checked_add(fraction))
            .map(Self)
            .ok_or(InvalidAmount)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0 % NANO);
        let fraction = fraction.trim_end_matches('0');
        // Two decimals at least, since that is how people read money.
        write!(f, "{}.{fraction:0<2}", self.0 / NANO)
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!("0.05".parse::<Usd>().unwrap().nano(), 50_000_000);
        assert_eq!("12".parse::<Usd>().unwrap().to_string(), "12.00");
        assert_eq!(Usd::from_nano(1_234).to_string(), "0.000001234");
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for bad in [
            "",
            "-1",
            "1.",
            ".5",
            "1e3",
            "NaN",
            "0.1234567890",
            "99999999999",
            "1,5",
        ] {
            assert_eq!(bad.parse::<Usd>(), Err(InvalidAmount), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn writing_and_reading_is_exact(nano in 0..i64::MAX) {
            let amount = Usd(nano);
            prop_assert_eq!(amount.to_string().parse::<Usd>().unwrap(), amount);
        }
    }
}
