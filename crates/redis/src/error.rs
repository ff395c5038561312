//! One opaque error that callers ask questions.

use std::{fmt, time::Duration};

/// Why a command gave no answer.
///
/// The text names the command and never its arguments.
pub struct Error {
    command: &'static str,
    kind: Kind,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no connection.
    Disconnected,
    /// The server did not answer in time.
    Timeout,
    /// The breaker is open: the server stalled a moment ago.
    Open { retry_after: Option<Duration> },
    /// No slot came free in time.
    Busy,
    /// The server answered with an error.
    Refused,
    /// The server answered with something of another shape than expected.
    Unexpected,
    /// The client was shut down.
    Closed,
}

impl Error {
    pub(crate) fn new(command: &'static str, kind: Kind) -> Self {
        Self {
            command,
            kind,
            source: None,
        }
    }

    pub(crate) fn from_engine(command: &'static str, error: fred::error::Error) -> Self {
        use fred::error::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::Timeout => Kind::Timeout,
            ErrorKind::IO
            | ErrorKind::Canceled
            | ErrorKind::Routing
            | ErrorKind::Cluster
            | ErrorKind::Sentinel
            | ErrorKind::Backpressure
            | ErrorKind::Auth
            | ErrorKind::Tls => Kind::Disconnected,
            ErrorKind::Parse | ErrorKind::Protocol | ErrorKind::NotFound => Kind::Unexpected,
            _ => Kind::Refused,
        };
        Self {
            command,
            kind,
            source: Some(Box::new(error)),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the server is away, stalled or overwhelmed, so that the caller
    /// does well to go on without it. Timeouts count.
    pub fn is_unavailable(&self) -> bool {
        !matches!(self.kind, Kind::Refused | Kind::Unexpected)
    }

    /// Whether the server did not answer in time. The command may or may not
    /// have been applied, and may still be.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind, Kind::Timeout)
    }

    /// Whether the command certainly had no effect on the server.
    pub fn is_unsent(&self) -> bool {
        matches!(self.kind, Kind::Open { .. } | Kind::Busy | Kind::Closed)
    }

    /// When to try again, where it is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            Kind::Open { retry_after } => retry_after,
            _ => None,
        }
    }

    pub(crate) fn is_no_script(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| source.to_string().contains("NOSCRIPT"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Disconnected => "there is no connection to the server",
            Kind::Timeout => {
                "the server did not answer in time; whether the command was applied is unknown"
            }
            Kind::Open { .. } => "the server stalled a moment ago and is being left alone",
            Kind::Busy => "too many commands are under way",
            Kind::Refused => "the server refused the command",
            Kind::Unexpected => "the server's answer has an unexpected shape",
            Kind::Closed => "the client was shut down",
        };
        write!(f, "redis {}: {what}", self.command)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("command", &self.command)
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}
