//! Why a connection is closed, in the codes of the contract.

use actix_ws::{CloseCode, CloseReason};
use mainstay_realtime::{Reason, Refused};
use serde_json::json;
use std::time::Duration;

/// A close code with a reason that clients can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    pub code: u16,
    pub reason: String,
}

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }

    /// The peer said goodbye, or is gone.
    pub(super) fn normal() -> Self {
        Self::new(1000, "")
    }

    /// The process stops; come back, each at its own moment.
    pub(super) fn restarting(retry: Duration) -> Self {
        Self::new(1012, retry_json(retry))
    }

    /// No place, or too many at once.
    pub(super) fn refused(refused: &Refused) -> Self {
        let code = match refused.reason {
            Reason::Capacity => 1013,
            _ => 1008,
        };
        Self::new(code, retry_json(refused.retry_after))
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
            Close::new(1013, "{\"retry_ms\":1500}")
        );
        assert_eq!(refused(Reason::PerPrincipal).code, 1008);
    }
}
