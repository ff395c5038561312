//! A place in several topics at once.

use mainstay_realtime::{ParsePositionError, Position};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// A place in several topics at once. As text: `topic:position` of each, with
/// commas between, which fits into a query and an SSE id as it is. To clients
/// it is opaque.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor(BTreeMap<String, Position>);

impl Cursor {
    /// Moves on in one topic.
    pub(super) fn advance(&mut self, topic: &str, to: Position) {
        self.0.insert(topic.to_owned(), to);
    }

    /// The place in one topic; `None` when the cursor is not of it.
    pub(super) fn of(&self, topic: &str) -> Option<Position> {
        self.0.get(topic).copied()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (topic, position)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{topic}:{position}")?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one = |part: &str| {
            let (topic, position) = part.rsplit_once(':').ok_or(ParsePositionError)?;
            Ok((topic.to_owned(), position.parse()?))
        };
        text.split(',').map(one).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_journey_and_others_are_refused() {
        let text = "agent_status:00000000000000aa-7,system_alerts:00000000000000bb-0";
        let cursor: Cursor = text.parse().unwrap();
        assert_eq!(cursor.to_string(), text);
        assert_eq!(cursor.of("agent_status").unwrap().seq, 7);
        assert_eq!(cursor.of("cache_events"), None);
        for bad in ["", "agent_status", "agent_status:7", "a:b,", ",", "é:0-0"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
