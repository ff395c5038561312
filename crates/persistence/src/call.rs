//! In whose name and until when.

use mainstay_domain::{Caller, CorrelationId, Principal};
use mainstay_resilience::Deadline;
use uuid::Uuid;

/// A call in the name of an authenticated principal. It sees and changes only
/// rows of the principal's workspace, and ends by the deadline.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Who, and in which request.
    pub caller: Caller,
    /// By when the answer is needed.
    pub deadline: Deadline,
}

impl Call {
    /// The principal.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.caller.principal
    }

    pub(crate) fn workspace(&self) -> Uuid {
        self.caller.principal.workspace_id.uuid()
    }

    pub(crate) fn user(&self) -> Uuid {
        self.caller.principal.user_id.uuid()
    }

    pub(crate) fn correlation(&self) -> Uuid {
        self.caller.correlation_id.uuid()
    }
}

/// What an operation may see, and by when it must end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    /// The only workspace whose rows exist for it, or `None` for the system's
    /// own work over all of them. Postgres enforces it by row-level security.
    pub(crate) workspace: Option<Uuid>,
    pub(crate) deadline: Deadline,
}

impl From<&Call> for Scope {
    fn from(call: &Call) -> Self {
        Self {
            workspace: Some(call.workspace()),
            deadline: call.deadline,
        }
    }
}

impl From<&OpenCall> for Scope {
    fn from(call: &OpenCall) -> Self {
        call.deadline.into()
    }
}

impl From<Deadline> for Scope {
    fn from(deadline: Deadline) -> Self {
        Self {
            workspace: None,
            deadline,
        }
    }
}

/// A call before anybody is known, such as a registration or a login.
#[derive(Debug, Clone, Copy)]
pub struct OpenCall {
    /// The request's correlation id.
    pub correlation_id: CorrelationId,
    /// By when the answer is needed.
    pub deadline: Deadline,
}
