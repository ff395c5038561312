//! Settings from a file, changed while the process runs.
//!
//! Run with `cargo run --example registry --features serde`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mainstay_resilience::{Registry, RegistryConfig};

const SETTINGS: &str = r#"{
    "pipelines": {
        "postgres": {
            "deadline": "5s",
            "attempt_timeout": "1s",
            "retry": { "max_attempts": 3, "base": "20ms" },
            "breaker": { "trip": { "consecutive": 5 }, "open_for": "1m" },
            "bulkhead": { "max": 20, "queue": 64, "wait": "500ms" }
        }
    }
}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    registry.reload(&serde_json::from_str::<RegistryConfig>(SETTINGS)?)?;
    let postgres = registry
        .find_pipeline("postgres")
        .ok_or("no such pipeline")?;
    if let Some(breaker) = postgres.breaker() {
        breaker.try_acquire()?.failure();
    }

    // The new settings keep what was learned: one failure in a row.
    let stricter = SETTINGS.replace(r#""consecutive": 5"#, r#""consecutive": 2"#);
    registry.reload(&serde_json::from_str::<RegistryConfig>(&stricter)?)?;
    println!("{}", serde_json::to_string_pretty(&registry.snapshot())?);

    // A mistake changes nothing.
    let wrong = SETTINGS.replace(r#""max": 20"#, r#""max": 0"#);
    if let Err(error) = registry.reload(&serde_json::from_str::<RegistryConfig>(&wrong)?) {
        println!("refused: {error}");
    }
    Ok(())
}
