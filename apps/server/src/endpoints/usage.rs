//! What answers cost.

pub(crate) mod report;
