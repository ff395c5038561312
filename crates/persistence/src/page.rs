//! Lists, a page at a time.

use uuid::Uuid;

/// Which page of a list. Lists are ordered by id, and ids sort by creation.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// The most items, cut to [`PageRequest::MAX`].
    pub limit: u32,
    /// The last id of the page before, or `None` for the first page.
    pub after: Option<Uuid>,
}

impl PageRequest {
    /// The most items of a page.
    pub const MAX: u32 = 200;

    /// Where a list in ascending order goes on. A bound that is always there lets
    /// the index begin at it.
    pub(crate) fn floor(self) -> Uuid {
        self.after.unwrap_or(Uuid::nil())
    }

    /// Where a list in descending order goes on.
    pub(crate) fn ceiling(self) -> Uuid {
        self.after.unwrap_or(Uuid::max())
    }

    /// One more row than is shown tells whether there is another page.
    pub(crate) fn rows(self) -> i64 {
        i64::from(self.limit.clamp(1, Self::MAX)) + 1
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            limit: 50,
            after: None,
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, or `None` on the last one.
    pub next: Option<Uuid>,
}

impl<T> Page<T> {
    /// Cuts the extra row off and remembers where to go on.
    pub(crate) fn of(mut items: Vec<T>, request: PageRequest, id: impl Fn(&T) -> Uuid) -> Self {
        let limit = request.limit.clamp(1, PageRequest::MAX) as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(id);
        Self { items, next }
    }
}
