//! A breaker opens on failures, refuses while open, and closes after a probe.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use mainstay_resilience::{CircuitBreaker, ManualClock};

fn main() -> Result<(), Box<dyn Error>> {
    // A manual clock, so that the example does not have to wait for a minute.
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::builder("postgres")
        .consecutive_failures(3)
        .open_for(Duration::from_secs(60))
        .clock(clock.shared())
        .build()?;

    for call in 1..=4 {
        match breaker.try_acquire() {
            Ok(permit) => {
                println!("call {call}: made, and failed");
                permit.failure();
            }
            Err(rejected) => println!("call {call}: {rejected}"),
        }
    }

    clock.advance(Duration::from_secs(60));
    let probe = breaker.try_acquire()?;
    println!(
        "after a minute: {:?}, this call is a probe",
        breaker.state()
    );
    probe.success();
    println!("it went well: {:?}", breaker.state());
    Ok(())
}
