//! Retries with jitter and a budget; permanent errors are not tried again.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use mainstay_resilience::{Jitter, Retry, RetryBudget, RetryDecision};

#[derive(Debug, Clone, Copy)]
enum Refusal {
    Busy,
    SlowDown(Duration),
    NotFound,
}

fn classify(error: &Refusal) -> RetryDecision {
    match error {
        Refusal::Busy => RetryDecision::Retry,
        Refusal::SlowDown(wait) => RetryDecision::RetryAfter(*wait),
        Refusal::NotFound => RetryDecision::Stop,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let retry = Retry::builder()
        .max_attempts(4)
        .exponential(Duration::from_millis(10), Duration::from_secs(1))
        .jitter(Jitter::Decorrelated)
        .budget(
            RetryBudget::builder()
                .ratio(0.1)
                .floor_per_second(10)
                .build()?,
        )
        .build()?;

    let script = [Refusal::Busy, Refusal::SlowDown(Duration::from_millis(30))];
    let answer = retry
        .run(classify, |attempt| async move {
            println!("attempt {}", attempt.number());
            match script.get(attempt.number() as usize - 1) {
                Some(refusal) => Err(*refusal),
                None => Ok("done"),
            }
        })
        .await;
    println!("{answer:?}");

    let answer = retry
        .run(classify, |_| async { Err::<(), _>(Refusal::NotFound) })
        .await;
    println!("{answer:?}, at the first attempt");
    Ok(())
}
