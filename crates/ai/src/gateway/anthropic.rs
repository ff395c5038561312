//! Anthropic Messages, as a server speaks them.

mod answer;
mod parse;

pub(super) use answer::{StreamEncoder, answer};
pub(super) use parse::to_chat;
