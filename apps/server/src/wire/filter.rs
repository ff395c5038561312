//! Filters of lists: ids and times in query strings. Both are read by hand,
//! since a refusal shall name the parameter, which the query's own reader cannot.

use crate::problem::Problem;
use jiff::Timestamp;
use uuid::Uuid;

/// An id in a query string.
pub(crate) fn id(pointer: &'static str, text: Option<&str>) -> Result<Option<Uuid>, Problem> {
    text.map(Uuid::parse_str)
        .transpose()
        .map_err(|_| Problem::field(pointer, "must be a UUID"))
}

/// A time in a query string.
pub(crate) fn time(
    pointer: &'static str,
    text: Option<&str>,
) -> Result<Option<Timestamp>, Problem> {
    text.map(str::parse)
        .transpose()
        .map_err(|_| Problem::field(pointer, "must be a time such as 2026-01-31T09:30:00Z"))
}
