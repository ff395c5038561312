//! The Mainstay server: settings, HTTP, WebSocket and SSE, wiring, lifecycle.
//!
//! The only crate that names actix. [`startup`] is the list of parts in the
//! order in which they are built; `operations` is the table of endpoints;
//! `pipeline` is the way through which every request goes.

// Handlers await through the use cases down to every tier; the futures nest
// deeper than the compiler's default allows.
#![recursion_limit = "256"]

mod connections;
mod endpoints;
mod exchange;
mod extract;
mod jobs;
pub mod lifecycle;
mod openapi;
mod operation;
mod operations;
mod pipeline;
pub mod problem;
pub mod readiness;
mod reply;
mod routing;
mod services;
pub mod settings;
mod sse;
pub mod startup;
pub mod telemetry;
mod topics;
mod wire;
mod ws;

/// The OpenAPI 3.0.3 document of everything that works, as pretty JSON.
#[must_use]
pub fn openapi_document() -> String {
    let mut text =
        serde_json::to_string_pretty(&openapi::document(&operations::table())).unwrap_or_default();
    text.push('\n');
    text
}
