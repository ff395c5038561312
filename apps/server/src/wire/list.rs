//! Lists: limits, cursors and pages.

use crate::{problem::Problem, reply::Page};
use mainstay_persistence::PageRequest;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

/// Which part of a list.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// How many items, 1 to 200. Default 50.
    #[garde(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = 200))]
    pub cursor: Option<String>,
}

impl ListQuery {
    /// The page as repositories take it.
    pub(crate) fn request(&self) -> Result<PageRequest, Problem> {
        let after = match self.cursor.as_deref() {
            None => None,
            Some(text) => Some(Uuid::parse_str(text).map_err(|_| {
                Problem::field("/cursor", "must be a next_cursor that a list has given out")
            })?),
        };
        Ok(PageRequest {
            limit: self.limit.unwrap_or(50),
            after,
        })
    }
}

/// A repository's page as it is sent.
pub(crate) fn page<T, B: From<T>>(page: mainstay_persistence::Page<T>) -> Page<B> {
    Page {
        items: page.items.into_iter().map(B::from).collect(),
        next_cursor: page.next.map(|id| id.to_string()),
    }
}
