//! What a developer sees while the commands work, and how a failure becomes an exit code.

use std::fmt;
use std::time::Instant;

use anyhow::Result;

/// A failure whose details were shown already; carries the exit code on.
#[derive(Debug)]
pub(crate) struct Failed {
    what: String,
    code: i32,
}

impl Failed {
    /// A failure of `what` with this exit code.
    pub(crate) fn new(what: impl Into<String>, code: i32) -> Self {
        Self {
            what: what.into(),
            code,
        }
    }

    /// The exit code, one that a shell can carry.
    pub(crate) fn code(&self) -> u8 {
        u8::try_from(self.code)
            .ok()
            .filter(|code| *code != 0)
            .unwrap_or(1)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failed {}

/// Runs one step, saying what is being done and how long it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {name}");
    let begun = Instant::now();
    let outcome = work();
    let seconds = begun.elapsed().as_secs_f64();
    match &outcome {
        Ok(_) => eprintln!("    {name}: {seconds:.1} s"),
        Err(_) => eprintln!("    {name}: failed after {seconds:.1} s"),
    }
    outcome
}
