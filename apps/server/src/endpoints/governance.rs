//! Governance: what the workspace demands, what was decided, what was done.

pub(crate) mod audit;
pub(crate) mod decisions;
pub(crate) mod evaluate;
pub(crate) mod policies;
