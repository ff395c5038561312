//! The ways to fail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How an answer is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The connection breaks within the body.
    Abrupt,
    /// The body ends properly, as if that had been all.
    Clean,
}

/// A way to fail. Each has a short text form, for headers, model names and the
/// control endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// `none`: no fault.
    None,
    /// `status:429` or `status:429:7`: an error in the dialect's own shape,
    /// with `Retry-After` as given: seconds or an HTTP date.
    Status {
        /// The HTTP status.
        status: u16,
        /// The value of `Retry-After`.
        retry_after: Option<String>,
    },
    /// `disconnect`: the connection breaks before any answer.
    Disconnect,
    /// `hang`: nothing ever comes. `hang:100`: nothing comes after 100 bytes
    /// of the body.
    Hang {
        /// How much comes before; `None` is not even a status.
        after_bytes: Option<usize>,
    },
    /// `truncate:3` or `truncate:3:clean`: it stops after that many events of
    /// a stream, or in the middle of a body that is not a stream.
    Truncate {
        /// How many events come before.
        after_events: usize,
        /// How it stops.
        how: Cut,
    },
    /// `missing-end`: the stream ends cleanly, all there but its end mark.
    MissingEnd,
    /// `error-event:3:overloaded_error`: after that many events the stream
    /// says that it failed.
    ErrorEvent {
        /// How many events come before.
        after_events: usize,
        /// The error's type.
        kind: String,
    },
    /// `garbage`: status 200 and the right content type, and nonsense.
    Garbage,
    /// `html`: status 200 and a page, as from a captive portal.
    Html,
    /// `split:1`: the body comes in pieces of this many bytes, characters cut
    /// wherever that falls.
    Split {
        /// Bytes in each piece.
        bytes: usize,
    },
    /// `drip:50`: so many milliseconds before each event.
    Drip {
        /// The wait before each event, in milliseconds.
        millis: u64,
    },
    /// `duplicate`: every event but the text comes twice.
    DuplicateEvents,
    /// `no-usage`: the answer does not say what it used.
    NoUsage,
    /// `huge:1000000`: the answer's text has this many bytes.
    Huge {
        /// Bytes of text.
        bytes: usize,
    },
    /// `rate-headers:0:30`: the answer is good and its headers say that so many
    /// requests are left and when the count starts anew, in seconds.
    RateHeaders {
        /// Requests left.
        remaining: u64,
        /// Seconds until there are more.
        reset_seconds: u64,
    },
}

impl Fault {
    /// An error status without `Retry-After`.
    pub fn status(status: u16) -> Self {
        Self::Status {
            status,
            retry_after: None,
        }
    }

    /// A 429 that asks to wait for so many seconds.
    pub fn rate_limited(seconds: u64) -> Self {
        Self::Status {
            status: 429,
            retry_after: Some(seconds.to_string()),
        }
    }

    /// A connection that breaks after so many events.
    pub fn cut_after(events: usize) -> Self {
        Self::Truncate {
            after_events: events,
            how: Cut::Abrupt,
        }
    }

    /// No answer at all.
    pub fn hang() -> Self {
        Self::Hang { after_bytes: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Status {
                status,
                retry_after: Some(wait),
            } => write!(f, "status:{status}:{wait}"),
            Self::Status { status, .. } => write!(f, "status:{status}"),
            Self::Disconnect => f.write_str("disconnect"),
            Self::Hang { after_bytes: None } => f.write_str("hang"),
            Self::Hang {
                after_bytes: Some(bytes),
            } => write!(f, "hang:{bytes}"),
            Self::Truncate {
                after_events,
                how: Cut::Abrupt,
            } => write!(f, "truncate:{after_events}"),
            Self::Truncate { after_events, .. } => write!(f, "truncate:{after_events}:clean"),
            Self::MissingEnd => f.write_str("missing-end"),
            Self::ErrorEvent { after_events, kind } => {
                write!(f, "error-event:{after_events}:{kind}")
            }
            Self::Garbage => f.write_str("garbage"),
            Self::Html => f.write_str("html"),
            Self::Split { bytes } => write!(f, "split:{bytes}"),
            Self::Drip { millis } => write!(f, "drip:{millis}"),
            Self::DuplicateEvents => f.write_str("duplicate"),
            Self::NoUsage => f.write_str("no-usage"),
            Self::Huge { bytes } => write!(f, "huge:{bytes}"),
            Self::RateHeaders {
                remaining,
                reset_seconds,
            } => write!(f, "rate-headers:{remaining}:{reset_seconds}"),
        }
    }
}

/// A text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultError(String);

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a fault", self.0)
    }
}

impl std::error::Error for FaultError {}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A Retry-After date holds colons, so that only two cuts are made.
        let mut parts = text.trim().splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        let (first, second) = (parts.next(), parts.next());
        parse(name, first, second).ok_or_else(|| FaultError(text.to_owned()))
    }
}

fn parse(name: &str, first: Option<&str>, second: Option<&str>) -> Option<Fault> {
    let count = || first?.parse::<usize>().ok();
    Some(match name {
        "none" => Fault::None,
        "status" => Fault::Status {
            status: first?
                .parse()
                .ok()
                .filter(|status| (300..600).contains(status))?,
            retry_after: second.map(str::to_owned),
        },
        "disconnect" => Fault::Disconnect,
        "hang" if first.is_none() => Fault::hang(),
        "hang" => Fault::Hang {
            after_bytes: Some(count()?),
        },
        "truncate" => Fault::Truncate {
            after_events: count()?,
            how: match second {
                None | Some("abrupt") => Cut::Abrupt,
                Some("clean") => Cut::Clean,
                Some(_) => return None,
            },
        },
        "missing-end" => Fault::MissingEnd,
        "error-event" => Fault::ErrorEvent {
            after_events: count()?,
            kind: second.unwrap_or("overloaded_error").to_owned(),
        },
        "garbage" => Fault::Garbage,
        "html" => Fault::Html,
        "split" => Fault::Split {
            bytes: count().filter(|bytes| *bytes > 0)?,
        },
        "drip" => Fault::Drip {
            millis: first?.parse().ok()?,
        },
        "duplicate" => Fault::DuplicateEvents,
        "no-usage" => Fault::NoUsage,
        "huge" => Fault::Huge { bytes: count()? },
        "rate-headers" => Fault::RateHeaders {
            remaining: first?.parse().ok()?,
            reset_seconds: second?.parse().ok()?,
        },
        _ => return None,
    })
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_every_fault_means_that_fault() {
        for text in [
            "none",
            "status:500",
            "status:429:7",
            "status:503:Sun, 06 Nov 1994 08:49:37 GMT",
            "disconnect",
            "hang",
            "hang:100",
            "truncate:3",
            "truncate:3:clean",
            "missing-end",
            "error-event:2:overloaded_error",
            "garbage",
            "html",
            "split:1",
            "drip:50",
            "duplicate",
            "no-usage",
            "huge:9",
            "rate-headers:0:30",
        ] {
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
        }
    }

    #[test]
    fn what_names_no_fault_is_refused() {
        for text in [
            "",
            "nonsense",
            "status",
            "status:200",
            "split:0",
            "hang:x",
            "truncate:1:gently",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text:?}");
        }
    }
}
