//! What can go wrong, in words that carry nothing of the driver.

use mainstay_domain::TransitionRefused;
use mainstay_encryption::{KeyError, OpenError};
use std::time::Duration;
use tokio_postgres::error::SqlState;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// There is no such thing in the caller's workspace.
    #[error("there is no such object")]
    NotFound,
    /// Something else stands in the way; the word names what, such as `email`.
    #[error("conflict on {0}")]
    Conflict(&'static str),
    /// It was changed since the caller read it.
    #[error("it was changed meanwhile")]
    StaleVersion,
    /// An agent's state does not allow the step.
    #[error(transparent)]
    Refused(#[from] TransitionRefused),
    /// The database manager is not ready yet.
    #[error("the database is starting: {phase}")]
    Starting {
        /// The phase that it is in.
        phase: &'static str,
    },
    /// Postgres cannot be reached, is overloaded, or is shutting down.
    #[error("the database is unavailable")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// Every connection is busy and too many wait already: this server is
    /// overloaded, while Postgres may be well.
    #[error("all database connections are busy")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The caller's deadline, or the limit of one operation, passed. The work
    /// was cancelled on the server; when it was a commit, its outcome is unknown.
    #[error("the database did not answer in time")]
    DeadlineExceeded,
    /// Stored data cannot be read: altered, or its key is gone.
    #[error("stored data cannot be read: {0}")]
    Corrupt(&'static str),
    /// A defect or an unforeseen answer; the source is for logs only.
    #[error("the database failed")]
    Internal {
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DbError {
    /// The wait that callers are told when there is no better guess.
    pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

    /// True when the database is away or not ready, so that a plan B is in order.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Overloaded { .. }
                | Self::Starting { .. }
                | Self::DeadlineExceeded
        )
    }

    pub(crate) fn unavailable() -> Self {
        Self::Unavailable {
            retry_after: Self::RETRY_AFTER,
        }
    }

    pub(crate) fn overloaded() -> Self {
        Self::Overloaded {
            retry_after: Self::RETRY_AFTER,
        }
    }

    pub(crate) fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal {
            source: source.into(),
        }
    }
}

/// A failure inside the crate, before it is known whether it may be retried.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Postgres undid the transaction because of others; trying again can work.
    Contended,
    /// Anything else.
    Db(DbError),
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl From<Failure> for DbError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Contended => Self::unavailable(),
            Failure::Db(error) => error,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code() else {
            return Self::Db(without_state(error));
        };
        match state {
            &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => {
                Self::Contended
            }
            _ => Self::Db(with_state(error)),
        }
    }
}

/// An error that Postgres sent.
fn with_state(error: tokio_postgres::Error) -> DbError {
    let Some(sent) = error.as_db_error() else {
        return DbError::internal(error);
    };
    let state = sent.code();
    if state == &SqlState::UNIQUE_VIOLATION {
        return DbError::Conflict(match sent.constraint() {
            Some("users_email_unique") => "email",
            Some("personas_name_unique" | "agents_name_unique") => "name",
            _ => "id",
        });
    }
    // A reference leads to nothing in this workspace: that is a 404 like any other.
    if state == &SqlState::FOREIGN_KEY_VIOLATION {
        return DbError::NotFound;
    }
    if matches!(
        state,
        &SqlState::QUERY_CANCELED | &SqlState::LOCK_NOT_AVAILABLE
    ) {
        return DbError::DeadlineExceeded;
    }
    // 08 connection, 53 resources (disk, memory, connections), 57 shutdown,
    // 25006 a standby after a failover.
    let code = state.code();
    if ["08", "53", "57"]
        .iter()
        .any(|class| code.starts_with(class))
        || state == &SqlState::READ_ONLY_SQL_TRANSACTION
    {
        tracing::warn!(name: "database.unavailable", sqlstate = code, "Postgres refused: {}", sent.message());
        return DbError::unavailable();
    }
    DbError::internal(error)
}

/// An error of the connection or of the driver.
fn without_state(error: tokio_postgres::Error) -> DbError {
    let io = std::error::Error::source(&error)
        .is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    if error.is_closed() || io {
        return DbError::unavailable();
    }
    // Wrong types and missing columns come without a state: they are defects.
    DbError::internal(error)
}

impl From<OpenError> for DbError {
    fn from(_: OpenError) -> Self {
        Self::Corrupt("a sealed field does not open")
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Db(error.into())
    }
}

impl From<KeyError> for DbError {
    fn from(error: KeyError) -> Self {
        if error.is_tampered() {
            return Self::Corrupt("a data key does not open");
        }
        if error.is_unavailable() {
            return Self::unavailable();
        }
        Self::internal(error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Db(error.into())
    }
}

impl From<TransitionRefused> for Failure {
    fn from(error: TransitionRefused) -> Self {
        Self::Db(error.into())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Db(DbError::internal(error))
    }
}
