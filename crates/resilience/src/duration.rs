//! Durations in settings, as people write them: `"5s"`, `"250ms"`, `"1m 30s"`.

use std::{fmt, time::Duration};

use serde::{Deserializer, Serializer, de};

/// Reads a sequence of whole numbers with the units d, h, m, s, ms, us, ns.
fn parse(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
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
        let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
        let part = match unit {
            "d" => seconds(86_400)?,
            "h" => seconds(3600)?,
            "m" => seconds(60)?,
            "s" => seconds(1)?,
            "ms" => Duration::from_millis(number),
            "us" => Duration::from_micros(number),
            "ns" => Duration::from_nanos(number),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail.trim_start();
    }
    Some(total)
}

/// Writes the units that are not zero, largest first.
fn format(duration: Duration) -> String {
    let units = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1000, "us"),
        (1, "ns"),
    ];
    let mut left = duration.as_nanos();
    let mut parts = Vec::new();
    for (size, unit) in units {
        if left >= size {
            parts.push(format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if parts.is_empty() {
        return "0s".to_owned();
    }
    parts.join(" ")
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"5s\", \"250ms\" or \"1m 30s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format(*value))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_str(Text)
}

/// The same for a setting that may be absent.
pub(crate) mod optional {
    use super::{Deserializer, Duration, Serializer, Text, de, fmt, format};

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_some(&format(*value)),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        struct Maybe;

        impl<'de> de::Visitor<'de> for Maybe {
            type Value = Option<Duration>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                de::Visitor::expecting(&Text, f)
            }

            fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
                from.deserialize_str(Text).map(Some)
            }
        }

        from.deserialize_option(Maybe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(parse("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse(" 1m 30s "), Some(Duration::from_secs(90)));
        assert_eq!(parse("1h2ms"), Some(Duration::from_millis(3_600_002)));
        assert_eq!(parse("0s"), Some(Duration::ZERO));
        for wrong in [
            "",
            " ",
            "5",
            "s",
            "-1s",
            "1.5s",
            "5 s",
            "5x",
            "99999999999999999999s",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(parse("18446744073709551615d"), None);
    }

    #[test]
    fn every_duration_survives_being_written_and_read() {
        for nanos in [
            0,
            1,
            999,
            1000,
            1_500_000,
            90_000_000_000,
            86_400_000_000_001,
            u64::MAX,
        ] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse(&format(duration)), Some(duration));
        }
    }
}
