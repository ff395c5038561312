//! A client that stops asking a server which refuses most calls.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mainstay_resilience::Throttle;

fn main() -> Result<(), Box<dyn Error>> {
    let throttle = Throttle::builder("search").seed(1).build()?;
    for (phase, accepts) in [
        ("healthy", true),
        ("overloaded", false),
        ("still overloaded", false),
    ] {
        let mut sent = 0;
        for _ in 0..1000 {
            if let Ok(permit) = throttle.try_acquire() {
                sent += 1;
                if accepts {
                    permit.accepted();
                } else {
                    permit.refused();
                }
            }
        }
        println!(
            "{phase}: {sent} of 1,000 calls sent; the next is refused here with probability {:.2}",
            throttle.rejection_probability()
        );
    }
    Ok(())
}
