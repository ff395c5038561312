//! Ctrl-C and SIGTERM as a flag that every waiting loop looks at.
//!
//! The default action of both signals would end this process at once and skip
//! the guards that stop Postgres, Redis and the server. With the flag the
//! signal becomes an ordinary error that unwinds through those guards.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};

static REQUESTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The error that a stop request turns into; `main` answers it with exit code 130.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped by a signal")
    }
}

impl std::error::Error for Interrupted {}

/// Turns SIGINT, SIGTERM and SIGHUP into the flag. Call once, first thing in `main`.
pub(crate) fn watch() -> Result<()> {
    let flag = Arc::clone(REQUESTED.get_or_init(Arc::default));
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        signal_hook::flag::register(signal, Arc::clone(&flag))
            .context("cannot listen for signals")?;
    }
    Ok(())
}

/// Whether somebody asked this process to stop.
pub(crate) fn requested() -> bool {
    REQUESTED
        .get()
        .is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Fails with [`Interrupted`] once a stop was requested.
pub(crate) fn check() -> Result<()> {
    if requested() {
        return Err(Interrupted.into());
    }
    Ok(())
}
