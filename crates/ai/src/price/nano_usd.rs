//! Money as whole billionths of a US dollar.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Billionths of a US dollar (nano-USD). A token of the cheapest model costs
/// ten of them, the largest bill that fits is 18 billion dollars.
///
/// It reads and prints as a decimal number of dollars and is never a float.
///
/// ```
/// use mainstay_ai::price::NanoUsd;
///
/// let price: NanoUsd = "0.25".parse()?;
/// assert_eq!(price, NanoUsd(250_000_000));
/// assert_eq!(NanoUsd(1_500).to_string(), "0.0000015");
/// # Ok::<(), mainstay_ai::price::CatalogueError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub u64);

impl NanoUsd {
    /// One dollar.
    pub const DOLLAR: Self = Self(1_000_000_000);

    /// The sum, or the largest amount when the sum does not fit.
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, nanos) = (self.0 / Self::DOLLAR.0, self.0 % Self::DOLLAR.0);
        if nanos == 0 {
            return write!(f, "{dollars}");
        }
        let fraction = format!("{nanos:09}");
        write!(f, "{dollars}.{}", fraction.trim_end_matches('0'))
    }
}

impl FromStr for NanoUsd {
    type Err = super::CatalogueError;

    /// Reads plain decimals with at most nine places, such as `12` or `0.075`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            super::CatalogueError::new(format!(
                "`{text}` is not an amount of dollars with at most nine places"
            ))
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return Err(wrong());
        }
        let dollars: u64 = whole.parse().map_err(|_| wrong())?;
        let nanos: u64 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
        dollars
            .checked_mul(Self::DOLLAR.0)
            .and_then(|amount| amount.checked_add(nanos))
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl Serialize for NanoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NanoUsd {
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
    fn what_is_not_a_plain_decimal_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "0.0000000001",
            "1,5",
            "99999999999999999999",
        ] {
            assert!(text.parse::<NanoUsd>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_survives_being_printed_and_read(amount in any::<u64>()) {
            prop_assert_eq!(NanoUsd(amount).to_string().parse::<NanoUsd>().unwrap(), NanoUsd(amount));
        }
    }
}
