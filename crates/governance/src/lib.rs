//! Decide and explain: what may be asked, what may be shown, and why.
//!
//! Everything here is pure: no clock, no storage, no network. The caller
//! passes the time, which only stamps the decisions.
//!
//! - [`before`] stands in front of the model: blocked words, attempts to
//!   overrule the system prompt, personal data, secrets, the cost ceiling.
//! - [`StreamGuard`] stands in the stream of an answer and lets through only
//!   what can no longer become part of something that must not be shown.
//! - [`after`] looks at a whole answer. It is the same guard, so that a
//!   streamed and a whole answer never differ.
//!
//! Personal data in a question leaves as placeholders such as `<EMAIL_1>`;
//! [`Redactions`] and [`Restorer`] put it back for the person who wrote it.
//!
//! A guard reports facts; [`Policy`] turns each into a verdict according to
//! the workspace's level. Verdicts combine by the severest.

mod after;
mod before;
mod cost;
mod decide;
mod detect;
mod guard;
mod images;
mod injection;
mod normal;
mod placeholder;
mod policy;
mod scanner;
mod terms;

pub use after::{After, after};
pub use before::{Before, Question, Refusal, before};
pub use detect::Kind;
pub use guard::StreamGuard;
pub use injection::injection_score;
pub use placeholder::{Redactions, Restorer};
pub use policy::Policy;
