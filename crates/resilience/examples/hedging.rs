//! A slow read is asked a second time, and the first answer wins.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, io, time::Duration};

use mainstay_resilience::{Hedge, RetryBudget};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hedge = Hedge::builder("replica")
        .delay(Duration::from_millis(10))
        .budget(
            RetryBudget::builder()
                .ratio(0.1)
                .floor_per_second(10)
                .build()?,
        )
        .build()?;
    for stuck in [false, true] {
        let answer = hedge
            .run(|copy| async move {
                // The first replica is stuck in the second round.
                let slow = stuck && copy == 1;
                tokio::time::sleep(Duration::from_millis(if slow { 5000 } else { 2 })).await;
                Ok::<_, io::Error>(copy)
            })
            .await?;
        println!("copy {answer} answered");
    }
    Ok(())
}
