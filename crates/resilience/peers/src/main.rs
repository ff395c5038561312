//! Measures a permitted, successful call through our policies and through those
//! of other crates, in one process and one run.
//!
//! Every row is measured in many short samples, round after round, so that
//! whatever else the machine does meets all rows alike. A sample that was
//! interrupted is thrown away; with two threads also one whose threads did not
//! truly overlap. Shown is the median of the rest.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the machine's clock"
)]

mod measure;
mod report;
mod rows;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut into, mut only) = (None, None);
    let mut rounds = 150;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--only" => only = arguments.next(),
            "--into" => into = arguments.next(),
            "--rounds" => rounds = arguments.next().ok_or("--rounds needs a number")?.parse()?,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    // The runtime is there for its timers; nothing runs on it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()?;
    let mut rows = rows::all()?;
    if let Some(only) = only {
        rows.retain(|row| row.name.contains(&only));
    }
    let figures = measure::measure(&rows, rounds, runtime.handle());
    let text = report::markdown(&rows, &figures);
    match into {
        Some(path) => report::write(path.as_ref(), &text)?,
        None => println!("{text}"),
    }
    Ok(())
}
