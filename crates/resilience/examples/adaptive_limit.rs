//! A limit that finds out how many calls at once a server can take.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use mainstay_resilience::{AdaptiveLimit, AdaptivePermit, ManualClock};

fn main() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::new();
    let limit = AdaptiveLimit::builder("inference")
        .bounds(1, 500)
        .initial(10)
        .clock(clock.shared())
        .build()?;
    // A server that works on 50 calls at once and queues the others.
    for round in 0..1001 {
        let permits: Vec<AdaptivePermit> =
            std::iter::from_fn(|| limit.try_acquire().ok()).collect();
        let queued = permits.len().saturating_sub(50) as u32;
        clock.advance(Duration::from_millis(20) + Duration::from_millis(2) * queued);
        if round % 100 == 0 {
            println!("round {round}: {} calls at once", permits.len());
        }
        permits.into_iter().for_each(AdaptivePermit::success);
    }
    Ok(())
}
