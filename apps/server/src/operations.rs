//! The table of endpoints: the only source of routing, authorization and the
//! OpenAPI document.

use crate::{
    endpoints::{
        agents, ai, auth, cache, conversations, events, governance, knowledge, personas, system,
        usage, users, workspace,
    },
    operation::Operation,
    ws,
};

/// Every endpoint, in the order in which the documentation shows them.
pub(crate) fn table() -> Vec<Operation> {
    let mut table = vec![
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
        auth::register::operation(),
        auth::login::operation(),
        auth::refresh::operation(),
        auth::logout::one(),
        auth::logout::all(),
        auth::sessions::list(),
        auth::sessions::end(),
        users::me::get(),
        users::me::update(),
        users::me::erase(),
        users::password::operation(),
        ai::execute::operation(),
        personas::list::all(),
        personas::change::create(),
        personas::list::one(),
        personas::change::update(),
        personas::change::delete(),
        personas::suggest::operation(),
        conversations::list::all(),
        conversations::change::create(),
        conversations::list::one(),
        conversations::change::update(),
        conversations::change::delete(),
        conversations::messages::operation(),
        conversations::say::operation(),
        conversations::cancel::operation(),
        conversations::stream::operation(),
        ws::operation(),
        events::stream::operation(),
        events::poll::operation(),
    ];
    table.extend(knowledge::operations());
    table.extend(workspace::operations());
    table.extend(agents::operations());
    table.extend(governance::operations());
    table.extend(cache::operations());
    table.push(usage::operation());
    table
}
