//! Where a reader stands: an epoch and a sequence number.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// One life of a topic's log. Sequence numbers of different epochs have
/// nothing to do with each other. As text: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Epoch(pub(crate) u64);

/// An event's place: as text `<epoch>-<seq>`, which also serves as an SSE id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The life of the log that `seq` counts in.
    pub epoch: Epoch,
    /// Counts the log's events from 1; 0 stands before the first.
    pub seq: u64,
}

/// The text is no epoch or position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsePositionError;

impl fmt::Display for ParsePositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a position that this service has handed out")
    }
}

impl std::error::Error for ParsePositionError {}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(hexadecimal) {
            return Err(ParsePositionError);
        }
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| ParsePositionError)
    }
}

impl TryFrom<String> for Epoch {
    type Error = ParsePositionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Epoch> for String {
    fn from(epoch: Epoch) -> Self {
        epoch.to_string()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, seq) = text.split_once('-').ok_or(ParsePositionError)?;
        // `u64::from_str` would also take a leading plus sign.
        if seq.is_empty() || !seq.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParsePositionError);
        }
        Ok(Self {
            epoch: epoch.parse()?,
            seq: seq.parse().map_err(|_| ParsePositionError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_never_handed_out_is_refused() {
        for bad in [
            "",
            "-",
            "0000000000000000",
            "0000000000000000-",
            "0000000000000000-+1",
            "0000000000000000--1",
            "000000000000000G-1",
            "000000000000000A-1",
            "+00000000000000a-1",
            "00000000000000000-1",
            "0000000000000000-99999999999999999999",
        ] {
            assert!(bad.parse::<Position>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_position_survives_the_journey(epoch: u64, seq: u64) {
            let position = Position { epoch: Epoch(epoch), seq };
            prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
            let json = serde_json::to_string(&position).unwrap();
            prop_assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
        }

        #[test]
        fn hostile_text_does_no_harm(text in "\\PC{0,40}") {
            let _ = text.parse::<Position>();
        }
    }
}
