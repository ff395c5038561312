//! One's own account.

pub(crate) mod me;
pub(crate) mod password;
