//! What a call costs: integers all the way, rounded up, unknown is unknown.

mod catalogue;
mod nano_usd;

pub use catalogue::{Catalogue, CatalogueError, LongPrompt, Price, PriceEntry};
pub use nano_usd::NanoUsd;
