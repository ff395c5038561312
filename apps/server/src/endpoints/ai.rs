//! One-shot questions.

pub(crate) mod execute;
