//! A time limit, and a deadline that several calls share.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, io, time::Duration};

use mainstay_resilience::{Deadline, Timeout, TokioClock, timeout};

async fn answer(after: Duration) -> io::Result<&'static str> {
    tokio::time::sleep(after).await;
    Ok("an answer")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let quick = timeout(Duration::from_secs(1), answer(Duration::ZERO)).await;
    println!("{quick:?}");
    let slow = timeout(Duration::from_millis(20), answer(Duration::from_secs(9))).await;
    println!("{}", slow.err().ok_or("it was quick")?);

    // Each call may take 200 ms, and both together 50.
    let each = Timeout::new("lookup", Duration::from_millis(200))?;
    let deadline = Deadline::after(&TokioClock, Duration::from_millis(50));
    for call in 1..=2 {
        let result = each
            .run_within(deadline, answer(Duration::from_millis(30)))
            .await;
        println!(
            "call {call}: {}",
            result.map_or_else(|e| e.to_string(), str::to_owned)
        );
    }
    Ok(())
}
