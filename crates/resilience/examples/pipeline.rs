//! All policies around a call whose server is down and comes back.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, io, sync::Arc, time::Duration};

use mainstay_resilience::{
    Bulkhead, CircuitBreaker, Event, Observer, Pipeline, Retry, RetryBudget,
};

/// Prints what the policies do.
#[derive(Debug)]
struct Print;

impl Observer for Print {
    fn on_event(&self, event: &Event<'_>) {
        println!("  {event:?}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pipeline = Pipeline::standard("geocoder")
        .deadline(Duration::from_secs(2))
        .retry(
            Retry::builder()
                .name("geocoder")
                .max_attempts(3)
                .exponential(Duration::from_millis(5), Duration::from_millis(50))
                .budget(RetryBudget::builder().build()?)
                .observer(Arc::new(Print))
                .build()?,
        )
        .breaker(
            CircuitBreaker::builder("geocoder")
                .count_window(10, 0.5, 4)
                .open_for(Duration::from_millis(100))
                .observer(Arc::new(Print))
                .build()?,
        )
        .bulkhead(Bulkhead::new("geocoder", 8, 8, Duration::from_millis(100))?)
        .attempt_timeout(Duration::from_millis(200))
        .observer(Arc::new(Print))
        .build()?;

    for call in 1..=4 {
        println!("call {call}");
        let down = call < 4;
        let answer = pipeline
            .run_or_else(
                |_attempt| async move {
                    if down {
                        return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                    }
                    Ok("52.5 north, 13.4 east")
                },
                |error| async move {
                    println!("  in the end: {error}");
                    Ok::<_, io::Error>("unknown")
                },
            )
            .await?;
        println!("  {answer}");
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    Ok(())
}
