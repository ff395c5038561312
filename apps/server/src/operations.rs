//! The table of endpoints: the only source of routing, authorization and the
//! OpenAPI document.

use crate::{endpoints::system, operation::Operation};

/// Every endpoint, in the order in which the documentation shows them.
pub(crate) fn table() -> Vec<Operation> {
    vec![
        system::health::operation(),
        system::ready::operation(),
        system::metrics::operation(),
        system::openapi::operation(),
        system::docs::page(),
        system::docs::script(),
        system::docs::style(),
        system::docs::error_page(),
        system::jwks::operation(),
        system::info::operation(),
    ]
}
