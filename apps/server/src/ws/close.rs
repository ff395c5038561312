//! Why a connection is closed, in the codes of the contract.

use super::frames::ToClient;
use actix_ws::{CloseCode, CloseReason};
use mainstay_realtime::{Reason, Refused};
use serde_json::json;
use std::time::Duration;

/// A close code with a reason that clients can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    pub code: u16,
    pub reason: String,
    /// How long to stay away, where staying away helps.
    pub retry: Option<Duration>,
}

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            retry: None,
        }
    }

    fn later(code: u16, retry: Duration) -> Self {
        Self {
            retry: Some(retry),
            ..Self::new(code, retry_json(retry))
        }
    }

    /// The peer said goodbye, or is gone.
    pub(super) fn normal() -> Self {
        Self::new(1000, "")
    }

    /// The peer does not answer pings.
    pub(super) fn silent() -> Self {
        Self::new(1000, "no sign of life")
    }

    /// The process stops; come back, each at its own moment.
    pub(super) fn restarting(retry: Duration) -> Self {
        Self::later(1012, retry)
    }

    /// No place, or too many at once.
    pub(super) fn refused(refused: &Refused) -> Self {
        let code = match refused.reason {
            Reason::Capacity | Reason::Paused => 1013,
            _ => 1008,
        };
        Self::later(code, refused.retry_after)
    }

    pub(super) fn too_big() -> Self {
        Self::new(1009, "the frame is too large")
    }

    pub(super) fn policy(reason: &'static str) -> Self {
        Self::new(1008, reason)
    }

    pub(super) fn unauthenticated(reason: &'static str) -> Self {
        Self::new(4401, reason)
    }

    pub(super) fn slow() -> Self {
        Self::new(4408, "the connection does not keep up; resume by position")
    }

    /// The last frame before the Close, for clients that are not shown its
    /// code. A peer that has closed by itself is told nothing more.
    pub(super) fn bye(&self, timestamp: &str) -> Option<ToClient> {
        if self.reason.is_empty() {
            return None;
        }
        let retry_ms = self.retry.map(|retry| retry.as_millis() as u64);
        let data = json!({"code": self.code, "retry_ms": retry_ms});
        Some(ToClient::reply("bye", timestamp, &data, None))
    }

    pub(super) fn frame(self) -> CloseReason {
        CloseReason {
            code: CloseCode::from(self.code),
            description: (!self.reason.is_empty()).then_some(self.reason),
        }
    }
}

fn retry_json(after: Duration) -> String {
    json!({"retry_ms": after.as_millis() as u64}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_is_1013_and_too_many_is_1008() {
        let refused = |reason| {
            Close::refused(&Refused {
                reason,
                retry_after: Duration::from_millis(1_500),
            })
        };
        assert_eq!(
            refused(Reason::Capacity),
            Close::later(1013, Duration::from_millis(1_500))
        );
        assert_eq!(refused(Reason::PerPrincipal).code, 1008);
    }

    #[test]
    fn whoever_is_shown_out_is_told_when_to_come_back() {
        let bye = |close: Close| Some(close.bye("t")?.text().unwrap());
        assert_eq!(
            bye(Close::restarting(Duration::from_millis(70))).unwrap(),
            "{\"type\":\"bye\",\"timestamp\":\"t\",\"data\":{\"code\":1012,\"retry_ms\":70}}"
        );
        let expired = bye(Close::unauthenticated("the token has expired")).unwrap();
        assert!(expired.contains("\"retry_ms\":null"), "{expired}");
        assert!(bye(Close::normal()).is_none());
    }
}
