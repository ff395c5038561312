//! Messages in conversations: each question starts a run, and the run goes on
//! whoever watches.

mod history;
mod run;
mod say;
mod sink;
mod watch;

pub use say::{Said, Saying};
pub use watch::Watched;
