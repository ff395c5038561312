//! The one place where failures of the layers below become problems.

use super::{Code, Problem};
use mainstay_orchestrator::Error;
use mainstay_persistence::DbError;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Invalid { pointer, message } => Self::field(pointer, message),
            Error::Unauthenticated => Self::new(Code::Unauthenticated, text),
            Error::Forbidden(_) => Self::new(Code::Forbidden, text),
            Error::Denied(_) => Self::new(Code::GovernanceDenied, text),
            Error::BudgetExceeded { .. } => Self::new(Code::BudgetExceeded, text),
            Error::NotFound(what) => Self::not_found(what),
            Error::Conflict(_) => Self::new(Code::Conflict, text),
            Error::StaleVersion => Self::new(Code::PreconditionFailed, text),
            Error::Starting => Self::new(Code::Starting, text),
            Error::Overloaded { retry_after } => {
                Self::new(Code::Overloaded, text).retry_after(retry_after)
            }
            Error::Unavailable { retry_after, .. } => {
                Self::new(Code::DependencyUnavailable, text).retry_after(retry_after)
            }
            Error::DeadlineExceeded => Self::new(Code::DeadlineExceeded, text),
            Error::Internal(cause) => Self::internal(&*cause),
            _ => Self::unexplained(),
        }
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::NotFound => Self::not_found("object"),
            DbError::Conflict(what) => Self::new(Code::Conflict, format!("this {what} is taken")),
            DbError::StaleVersion => Self::new(
                Code::PreconditionFailed,
                "it was changed meanwhile; read it again and repeat the change",
            ),
            DbError::Refused(refused) => Self::new(Code::Conflict, refused.to_string()),
            DbError::Starting { phase } => {
                Self::new(Code::Starting, format!("the server is starting: {phase}"))
            }
            DbError::Unavailable { retry_after } => Self::new(
                Code::DependencyUnavailable,
                "the database cannot be reached at the moment",
            )
            .retry_after(retry_after),
            DbError::Overloaded { retry_after } => {
                Self::new(Code::Overloaded, "the database has more to do than it can")
                    .retry_after(retry_after)
            }
            DbError::DeadlineExceeded => Self::new(
                Code::DeadlineExceeded,
                "the database did not answer in time",
            ),
            DbError::Corrupt(_) | DbError::Internal { .. } => Self::internal(&error),
        }
    }
}
